"""GPUs are counted where torch is not loaded, and a machine that has some is not trained on by its CPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.train.runtime import gpus


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without GPUs: a folder that is first on the path, and `driver` in it stands for the one in /proc."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "driver")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    return tmp_path


def nvidia_smi(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(("visible", "left"), [("0,1", 2), ("3", 1), ("", 0), ("-1", 0)])
def test_only_gpus_that_the_process_may_use_count(
    machine: Path, monkeypatch: pytest.MonkeyPatch, visible: str, left: int
) -> None:
    (machine / "driver" / "0000:00:1e.0").mkdir(parents=True)
    assert gpus.count() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.count() == left


def test_where_proc_lists_none_nvidia_smi_does(machine: Path) -> None:
    nvidia_smi(machine, "printf 'GPU 0: NVIDIA L4 (UUID: GPU-1)\\nGPU 1: NVIDIA L4 (UUID: GPU-2)\\n'")
    assert gpus.count() == 2


def test_no_device_is_none_and_a_driver_that_fails_is_said(machine: Path) -> None:
    nvidia_smi(machine, "echo No devices were found; exit 6")
    assert gpus.count() == 0
    nvidia_smi(machine, "echo driver/library version mismatch >&2; exit 18")
    with pytest.raises(StepError, match=r"nvidia-smi fails \(driver/library version mismatch\): fix the NVIDIA driver"):
        gpus.count()


def test_gpus_that_torch_cannot_use_end_the_run_unless_the_cpu_is_asked_for(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpus.require_cuda()
    nvidia_smi(machine, "echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'")
    with pytest.raises(StepError, match=r"this machine has 1 GPUs, and CUDA cannot be used \(.+\); torch 2\."):
        gpus.require_cuda()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpus.require_cuda()
