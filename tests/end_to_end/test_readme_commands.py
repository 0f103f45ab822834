"""The commands of Train's README for running the steps one by one, as they stand there but on the first rows: real
processes, with torchrun."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests import sockets
from tests.forks.client import Launched
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quickstart_model")]
DATA, ROWS = "steps/quickstart/preferences.jsonl", 160


@pytest.fixture(scope="module")
def done(
    clean_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Launched, set[tuple[str, str]]]:
    """What stands for /tmp, the shell that ran the commands, and where its processes listened."""
    folder = tmp_path_factory.mktemp("commands")
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "steps" / "train" / "README.md").read_text(), re.DOTALL)
    (script,) = (block for block in blocks if "torchrun" in block)
    assert script.count(DATA) == 1
    (folder / "rows.jsonl").write_text("".join((ROOT / DATA).read_text().splitlines(keepends=True)[:ROWS]))
    script = script.replace("/tmp/", f"{folder}/").replace(DATA, f"{folder}/rows.jsonl")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    world = clean_environment | {"PATH": path, "OMP_NUM_THREADS": "1"}
    shell = Launched(["bash", "-euo", "pipefail", "-c", script], world)
    return folder, shell, sockets.heard(shell)


def test_the_steps_run_one_by_one_as_the_readme_says(done) -> None:
    folder, shell, _ = done
    assert shell.wait() == 0, shell.stdout()
    assert (folder / "merged" / "manifest.json").is_file()
    assert "matplotlib" not in shell.stdout() and "font" not in shell.stdout()


def test_no_process_of_a_training_on_one_machine_listens_to_the_network(done) -> None:
    _, _, places = done
    assert {name for name, _ in places} >= {"pt_elastic"} and len(places) > 1  # torchrun's store, and the processes
    assert sockets.beyond_loopback(places) == set()
