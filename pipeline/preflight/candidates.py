"""Whether the instance of Candidates has a GPU that holds the base which answers, as far as the base's shape is known.

It answers as it is served: unquantised, whole on one GPU, while training may have it in 4 bits and sharded.
"""

from __future__ import annotations

from pipeline.settings.workflow import Workflow
from steps.train.model.shape import ModelShape
from steps.train.preflight import instances
from steps.train.preflight.conflicts import Problem
from steps.train.preflight.fixes import gib

KEY = "candidates.instance_type"
HALF = 2  # bytes of a weight as models are published, in bfloat16
BESIDE = 1.1  # for keys and values, and what a pass takes


def problems(workflow: Workflow, shape: ModelShape | None) -> list[Problem]:
    """Nothing without the section, without a GPU, and where model or instance are not known."""
    settings = workflow.settings.candidates
    instance = instances.find(settings.instance_type) if settings else None
    if instance is None or instance.gpu is None or shape is None:
        return []
    needed = BESIDE * HALF * shape.parameters
    if needed <= instance.gpu.usable:
        return []
    larger = next((one.name for one, gpu in instances.by_size() if gpu.usable >= needed), None)
    fix = f"take {larger}" if larger else "no GPU is large enough: leave out candidates:"
    told = f"unquantised the base takes {gib(HALF * shape.parameters)}, a GPU of {instance.name} has"
    return [Problem(KEY, f"{told} {gib(instance.gpu.usable)}; {fix}")]
