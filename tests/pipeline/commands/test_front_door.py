"""pipeline.py in a Python that has none of the packages."""

from __future__ import annotations

import subprocess
import sys

from tests.paths import ROOT


def test_without_the_environment_it_says_how_to_make_it() -> None:
    command = [sys.executable, "-S", "pipeline.py", "list"]  # -S: no site-packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: the package ") and "run `make run` once" in done.stderr
