"""NVML's figures of a process's own GPU, from a pynvml whose devices differ; over two processes, each rank's own."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import pytest

from steps.train.metrics import gpu
from steps.train.metrics.gpu import open_sampler

# A pynvml of three GPUs: device i is busy at 10 i + 5 percent, holds i + 1 GiB, draws 100 + i W at 40 + i degrees.
FAKE = """
from types import SimpleNamespace

class NVMLError(Exception):
    pass

NVML_TEMPERATURE_GPU = 0
UUIDS = ["GPU-a", "GPU-b", "GPU-c"]

def nvmlInit():
    pass

def nvmlDeviceGetHandleByUUID(uuid):
    if uuid not in UUIDS:
        raise NVMLError("Not Found")
    return UUIDS.index(uuid)

def nvmlDeviceGetIndex(device):
    return device

def nvmlDeviceGetUtilizationRates(device):
    return SimpleNamespace(gpu=10 * device + 5, memory=0)

def nvmlDeviceGetMemoryInfo(device):
    return SimpleNamespace(used=(device + 1) * 2**30, total=2**40)

def nvmlDeviceGetPowerUsage(device):
    if device == 2:
        raise NVMLError("Not Supported")
    return 1000 * (100 + device)

def nvmlDeviceGetTemperature(device, sensor):
    assert sensor == NVML_TEMPERATURE_GPU
    return 40 + device
"""

GATHERING = """
import json, sys
import torch.distributed as dist
from steps.train.metrics.gpu import open_sampler
from steps.train.runtime.ranks import gather
from steps.train.metrics import throughput
from steps.train.metrics.throughput import Counts, RankFigures

dist.init_process_group("gloo")
rank = dist.get_rank()
sampler = open_sampler(["GPU-a", "GPU-b"][rank])
counts = Counts(tokens=100 * (rank + 1), computed=400)
mine = RankFigures(0, sampler.index, 2, 2.0, counts, None, None, sampler.take())
ranks = gather(mine)
sampler.stop()
figures = json.dumps(throughput.per_gpu(ranks) | throughput.whole(ranks), sort_keys=True)
sys.stdout.write(f"rank {rank}: {figures}\\n")  # at once: the ranks share the pipe
sys.stdout.flush()
dist.destroy_process_group()
"""


@pytest.fixture
def pynvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake on the path; the folder that holds it."""
    (tmp_path / "pynvml.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield tmp_path
    sys.modules.pop("pynvml", None)


@pytest.mark.usefixtures("pynvml")
def test_the_figures_are_those_of_the_gpu_with_this_uuid() -> None:
    sampler = open_sampler("GPU-b")
    assert sampler is not None and sampler.index == 1
    assert sampler.take() == {"utilization": 15, "memory_gib": 2, "power_w": 101, "temperature_c": 41}
    sampler.stop()


@pytest.mark.usefixtures("pynvml")
def test_means_and_peaks_are_over_all_samples_since_the_last_call() -> None:
    import pynvml

    sampler = gpu.GpuSampler(pynvml, 0, seconds=0.01)
    readings = iter([(20, 50), (40, 60), (60, 55)])
    busy = {}

    def next_reading(device: int) -> object:
        busy["gpu"], busy["celsius"] = next(readings, (60, 55))
        return type("Rates", (), {"gpu": busy["gpu"]})

    pynvml.nvmlDeviceGetUtilizationRates = next_reading
    pynvml.nvmlDeviceGetTemperature = lambda device, sensor: busy["celsius"]
    sampler._samples = [sampler.sample(), sampler.sample(), sampler.sample()]
    found = sampler.take()
    assert (found["utilization"], found["temperature_c"]) == (40, 60)


@pytest.mark.usefixtures("pynvml")
def test_the_thread_samples_by_itself_until_it_is_stopped() -> None:
    sampler = open_sampler("GPU-a", seconds=0.01)
    assert sampler is not None
    deadline = time.monotonic() + 10
    while not sampler._samples and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sampler._samples
    sampler.stop()
    assert not sampler._thread.is_alive()


@pytest.mark.usefixtures("pynvml")
def test_a_figure_that_a_gpu_does_not_report_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sampler = open_sampler("GPU-c")
    assert sampler is not None
    with caplog.at_level(logging.WARNING):
        assert "power_w" not in sampler.take() and "power_w" not in sampler.take()
    assert caplog.messages == ["GPU 2: NVML does not report power_w: Not Supported"]
    sampler.stop()


@pytest.mark.usefixtures("pynvml")
def test_nvml_that_does_not_answer_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_sampler("GPU-z") is None
    assert caplog.messages == ["no GPU metrics: NVML does not answer for GPU-z: Not Found"]


def test_without_the_package_there_are_no_figures(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with caplog.at_level(logging.WARNING):
        assert open_sampler("GPU-a") is None
    assert caplog.messages == ["no GPU metrics: the package nvidia-ml-py is not installed"]


@pytest.mark.slow
def test_every_rank_gets_the_own_figures_of_every_gpu(run, root: Path, pynvml: Path) -> None:
    import json

    script = pynvml / "gathering.py"
    script.write_text(GATHERING)
    done = run(
        "-m", "steps.train.torchrun", "--nproc-per-node=2", script,
        PYTHONPATH=f"{pynvml}:{root}", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("rank ")]
    first, second = (json.loads(line.partition(": ")[2]) for line in sorted(lines))
    assert first == second
    expected = {"utilization": (5, 15), "memory_gib": (1, 2), "power_w": (100, 101), "tokens_per_second": (50, 100)}
    for name, values in expected.items():
        assert tuple(first[f"system/node0/gpu{index}/{name}"] for index in (0, 1)) == values
    assert (first["tokens_per_step"], first["tokens_per_second"]) == (150, 150)
