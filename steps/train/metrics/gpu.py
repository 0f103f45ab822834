"""Utilisation, memory, power and temperature of this process's own GPU from NVML, sampled in the background.

Units: utilization in percent of the time in which a kernel ran, memory_gib in GiB, power_w in watts, temperature_c in
degrees Celsius (NVML API reference, nvmlDeviceGetUtilizationRates and its neighbours). The GPU is found by the UUID
that CUDA reports, so that CUDA_VISIBLE_DEVICES cannot shift it onto a neighbour. Without NVML there are no figures, and
the log says so once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

log = logging.getLogger("train")

SECONDS = 5.0  # between two samples
GIB = 2**30


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


TOGETHER: dict[str, Callable[[Sequence[float]], float]] = {
    "utilization": _mean,
    "memory_gib": max,
    "power_w": _mean,
    "temperature_c": max,
}


def together(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Figures of several moments, or of several GPUs, as one: mean utilisation and power, highest memory and
    temperature. One that no sample has is left out."""
    values = {name: [one[name] for one in samples if name in one] for name in TOGETHER}
    return {name: over(values[name]) for name, over in TOGETHER.items() if values[name]}


class GpuSampler:
    """Samples one GPU until `stop`; `take` gives what was seen since the last call."""

    def __init__(self, nvml: Any, handle: Any, seconds: float = SECONDS):
        self.index = int(nvml.nvmlDeviceGetIndex(handle))
        self._nvml, self._handle, self._seconds = nvml, handle, seconds
        self._samples: list[dict[str, float]] = []
        self._missing: set[str] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nvml", daemon=True)

    def start(self) -> GpuSampler:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=self._seconds)

    def take(self) -> dict[str, float]:
        """What was seen since the last call, `together`."""
        with self._lock:
            samples, self._samples = self._samples, []
        return together(samples or [self.sample()])

    def sample(self) -> dict[str, float]:
        """The figures of this moment; one that the GPU does not report is left out and named once in the log."""
        nvml, handle = self._nvml, self._handle
        readings: dict[str, Callable[[], float]] = {
            "utilization": lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            "memory_gib": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / GIB,
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,  # NVML reports milliwatts
            "temperature_c": lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        }
        found = {}
        for name, read in readings.items():
            try:
                found[name] = read()
            except nvml.NVMLError as error:
                if name not in self._missing:
                    self._missing.add(name)
                    log.warning("GPU %d: NVML does not report %s: %s", self.index, name, error)
        return found

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            found = self.sample()
            with self._lock:
                self._samples.append(found)


def open_sampler(uuid: str, seconds: float = SECONDS) -> GpuSampler | None:
    """A running sampler of the GPU with this UUID (`GPU-…`); None, and a line in the log, where NVML is not there."""
    try:
        import pynvml
    except ImportError:
        log.warning("no GPU metrics: the package nvidia-ml-py is not installed")
        return None
    try:
        pynvml.nvmlInit()
        return GpuSampler(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid), seconds).start()
    except pynvml.NVMLError as error:
        log.warning("no GPU metrics: NVML does not answer for %s: %s", uuid, error)
        return None
