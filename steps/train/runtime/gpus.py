"""The GPUs of this machine, counted without torch; and the refusal to train on its CPU beside them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from steps.shared.contract import StepError, first_line

DRIVER = Path("/proc/driver/nvidia/gpus")
ON_THE_CPU = "to train on the CPU all the same, set CUDA_VISIBLE_DEVICES to nothing"


def count() -> int:
    """Those that CUDA_VISIBLE_DEVICES names, otherwise those that the driver lists in /proc, otherwise nvidia-smi's.

    Raises:
        StepError: nvidia-smi is there and fails.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return sum(device.strip() not in ("", "-1") for device in visible.split(","))
    return len(list(DRIVER.glob("*"))) or _listed_by_nvidia_smi()


def _listed_by_nvidia_smi() -> int:
    try:
        done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return 0
    if done.returncode and "No devices" not in done.stdout + done.stderr:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise StepError(f"nvidia-smi fails ({said}): fix the NVIDIA driver of this machine; {ON_THE_CPU}")
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def require_cuda() -> None:
    """
    Raises:
        StepError: this machine has GPUs and torch cannot use them: training on its CPU would take days at their price.
    """
    gpus = count()
    if gpus == 0:
        return
    import torch

    if torch.cuda.is_available():
        return
    try:
        torch.cuda.init()
        why = "torch finds no device"
    except (RuntimeError, AssertionError) as error:  # the second, where torch was built for the CPU alone
        why = first_line(error)
    if torch.version.cuda:
        fix = f"torch {torch.__version__} needs a driver for CUDA {torch.version.cuda}: update the driver, or take an "
        fix += "image with an older CUDA"
    else:
        fix = f"torch {torch.__version__} was built without CUDA: install the build with it"
    raise StepError(f"this machine has {gpus} GPUs, and CUDA cannot be used ({why}); {fix}; {ON_THE_CPU}")
