"""A process that is tied to the one that starts it: it gets its signal when that one has gone, however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steps.train.runtime.tied import tied
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
SLEEP = [sys.executable, "-IS", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
STARTS = (
    "import signal, subprocess, sys, time; from steps.train.runtime.tied import tied;"
    "subprocess.Popen([*tied(signal.SIGKILL), *sys.argv[1:]], start_new_session=True); time.sleep(60)"
)


def runs(pid: int) -> bool:
    """Whether it is there, and no zombie that its new parent has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_session_of_its_own_keeps_a_process_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", STARTS, *SLEEP], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert runs(child)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not runs(child)


def test_one_whose_parent_has_gone_already_ends_at_once() -> None:
    words = tied(signal.SIGKILL)
    words[-1] = str(os.getpid() + 1)  # as if another process had been the parent
    assert subprocess.run([*words, *SLEEP], check=False).returncode == -signal.SIGKILL


def test_the_command_itself_is_the_same() -> None:
    done = subprocess.run([*tied(signal.SIGTERM), "echo", "a b"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "a b\n")
