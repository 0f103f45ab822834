"""`make gpu-test`: the measurement on this machine's GPU, within its minutes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tests.paths import ROOT


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_every_target_is_met() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.gpu"], cwd=ROOT, check=False)
    assert done.returncode == 0
