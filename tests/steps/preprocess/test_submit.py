"""The command that starts a Spark application on its image, without Spark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

AS_THE_IMAGE = """#!/bin/sh
echo "$*" > "{log}"
exec sh -c "printf '%s\\n' $*"
"""


def test_words_reach_the_application_whole_through_the_images_shell(tmp_path: Path) -> None:
    """smspark-submit joins its words with spaces, and a shell takes them apart again."""
    fake = tmp_path / "smspark-submit"
    fake.write_text(AS_THE_IMAGE.format(log=tmp_path / "log"))
    fake.chmod(0o755)
    words = ["app.py", "--column", "rejected=worse answer", "--redact-pattern=card \\d+|$HOME;'\"", "--plain", "0.5"]
    command = [sys.executable, "-m", "steps.preprocess.submit", str(fake), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == words
    assert (tmp_path / "log").read_text().startswith("app.py --column 'rejected=worse answer' ")
