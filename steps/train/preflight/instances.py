"""The GPUs of SageMaker's training instances, and what of their memory a process gets: one table for both sides.

Counts, vCPUs and AWS's memory figures are EC2's (DescribeInstanceTypes, as the instance type reference of AWS's
Karpenter provider prints them, 2026-08; p3 as in the SageMaker SDK's instance_gpu_info.json); an `ml.` type is EC2's of
that name. PyTorch sees less than AWS states: `usable_gib` is the least "GPU 0 has a total capacity of …" that public
out-of-memory reports show for the GPU. Types that are not listed are said to be unknown; nothing is guessed for them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

MIB, GIB = 2**20, 2**30

# Families of training instances without a GPU (botocore's TrainingInstanceType), so that they are not called unknown.
CPU_FAMILIES = (
    "c4", "c5", "c5n", "c6i", "c7i", "c8i", "m4", "m5", "m6i", "m7i", "m8i", "r5", "r5d", "r6i", "r7i", "r8i", "t3",
)  # fmt: skip
BF16_CAPABILITY = (8, 0)  # Ampere, the first GPUs with bfloat16 arithmetic (CUDA C++ Programming Guide)


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        stated_mib: memory as AWS states it.
        usable_gib: memory as PyTorch sees it.
        capability: CUDA compute capability.
    """

    name: str
    stated_mib: int
    usable_gib: float
    capability: tuple[int, int]

    @property
    def usable(self) -> int:
        """Bytes that a process can use."""
        return int(self.usable_gib * GIB)

    @property
    def has_bf16(self) -> bool:
        return self.capability >= BF16_CAPABILITY


@dataclass(frozen=True)
class Instance:
    """An instance type; `gpu` is None where it has none."""

    name: str
    gpus: int
    gpu: Gpu | None
    vcpus: int = 0


T4 = Gpu("T4", 16384, 14.56, (7, 5))
V100 = Gpu("V100", 16384, 15.70, (7, 0))
V100_32 = Gpu("V100 32 GB", 32768, 31.73, (7, 0))
A10G = Gpu("A10G", 22888, 22.03, (8, 6))
L4 = Gpu("L4", 22888, 22.03, (8, 9))
L40S = Gpu("L40S", 45776, 44.34, (8, 9))
A100 = Gpu("A100 40 GB", 40960, 39.38, (8, 0))
A100_80 = Gpu("A100 80 GB", 81920, 79.11, (8, 0))
H100 = Gpu("H100", 81920, 79.11, (9, 0))
H200 = Gpu("H200", 144384, 139.72, (9, 0))

# size -> (GPUs, vCPUs); the G families share their sizes
ONE_GPU = {"xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "16xlarge": 64}
SEVERAL = {"12xlarge": (4, 48), "24xlarge": (4, 96), "48xlarge": (8, 192)}


def _family(name: str, gpu: Gpu) -> list[Instance]:
    ones = [Instance(f"ml.{name}.{size}", 1, gpu, vcpus) for size, vcpus in ONE_GPU.items()]
    return [*ones, *(Instance(f"ml.{name}.{size}", gpus, gpu, vcpus) for size, (gpus, vcpus) in SEVERAL.items())]


INSTANCES = {
    instance.name: instance
    for instance in (
        *(Instance(f"ml.g4dn.{size}", 1, T4, vcpus) for size, vcpus in ONE_GPU.items()),
        Instance("ml.g4dn.12xlarge", 4, T4, 48),
        *_family("g5", A10G),
        *_family("g6", L4),
        *_family("g6e", L40S),
        Instance("ml.p3.2xlarge", 1, V100, 8),
        Instance("ml.p3.8xlarge", 4, V100, 32),
        Instance("ml.p3.16xlarge", 8, V100, 64),
        Instance("ml.p3dn.24xlarge", 8, V100_32, 96),
        Instance("ml.p4d.24xlarge", 8, A100, 96),
        Instance("ml.p4de.24xlarge", 8, A100_80, 96),
        Instance("ml.p5.4xlarge", 1, H100, 16),
        Instance("ml.p5.48xlarge", 8, H100, 192),
        Instance("ml.p5e.48xlarge", 8, H200, 192),
        Instance("ml.p5en.48xlarge", 8, H200, 192),
    )
}


def find(name: str) -> Instance | None:
    """The instance type; without a GPU for the CPU families; None for one that this table does not know."""
    if name in INSTANCES:
        return INSTANCES[name]
    family = name.split(".")[1] if name.count(".") == 2 else ""
    return Instance(name, 0, None) if family.removesuffix("-flex") in CPU_FAMILIES else None


def unknown(name: str) -> str:
    """What to say of a type that the table does not know."""
    near = difflib.get_close_matches(name, INSTANCES, n=1, cutoff=0.85)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name}: not in the table of GPU instances (steps/train/preflight/instances.py){hint}"


def by_size() -> list[tuple[Instance, Gpu]]:
    """All GPU instances with their GPU, the smallest first: by the memory of all their GPUs, then by vCPUs."""
    found = [(one, one.gpu) for one in INSTANCES.values() if one.gpu]
    return sorted(found, key=lambda entry: (entry[0].gpus * entry[1].usable, entry[0].vcpus, entry[0].name))
