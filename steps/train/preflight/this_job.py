"""The preflight inside a training job: with this process's own GPU, the rows it has and the length of the longest.

What does not go together stops the run before any weight is loaded. An estimate above the GPU's memory is a warning
here and not an error: the job is paid for already, and the estimate may be wrong by a little.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.footprint.ask import Measured, measure
from steps.train.model.coverage import Coverage
from steps.train.model.load import attention_implementation
from steps.train.model.shape import base_folder, known_shape
from steps.train.preflight.base_alone import BaseAlone
from steps.train.preflight.fixes import gib
from steps.train.preflight.instances import Gpu
from steps.train.preflight.memory import GIB, MIB
from steps.train.preflight.passes import FP32
from steps.train.preflight.preflight import MEMORY, Machine, Preflight, preflight
from steps.train.runtime import ranks as of_all_ranks

log = logging.getLogger(__name__)


def run_preflight(
    arguments: TrainArguments,
    *,
    ranks: int,
    rank: int,
    rows: int,
    longest: int,
    held_out: int | None = None,
    pair_tokens: float | None = None,
) -> str | None:
    """Judge the run; rank 0 logs what it adds up to and the estimate.

    Args:
        rows, longest: training rows, and the tokens of the longest of all.
        held_out, pair_tokens: held-out rows, and the tokens that a row's pair takes on average.

    Returns:
        why the held-out rows are not evaluated in the form that is served; None where they are.

    Raises:
        StepError: settings that do not go together, or not with the model or the GPU; all of them.
    """
    shape, unknown = known_shape(arguments)
    measured = Measured()
    if shape is None and arguments.load_in_4bit and arguments.evaluate_served == "auto":  # which asks for the estimate
        measured = of_all_ranks.done_by_first(lambda: _measure(arguments))
        unknown = f"{unknown}; {measured.unknown}" if measured.unknown else unknown
    result = preflight(
        arguments, _machine(ranks), shape, unknown=unknown, measured=measured.footprint,
        attention=attention_implementation(arguments), rows=rows, length=longest, held_out=held_out,
        pair_tokens=pair_tokens,
    )  # fmt: skip
    broken = [str(problem) for problem in result.problems if problem.key != MEMORY]
    if broken:
        raise StepError("\n".join(["the recipe cannot be trained as it is:", *(f"  {line}" for line in broken)]))
    if rank == 0:
        _report(result)
    return result.unserved


def _measure(arguments: TrainArguments) -> Measured:
    """The model of another family on its own code, for which there is no formula; what it refuses, the fitting of the
    adapter will say."""
    config = base_folder(arguments) / "config.json"
    log.info("preflight: the model's memory is measured on its own code, on shapes without weights")
    found = measure(arguments, config)
    return replace(found, unknown=found.refused) if found.refused else found


def report_base(arguments: TrainArguments, coverage: Coverage, ranks: int) -> None:
    """Log what base and adapter take by themselves, where `run_preflight` could not estimate a run's memory."""
    if known_shape(arguments)[0] is not None:
        return
    base = BaseAlone(coverage.weights, coverage.quantised, coverage.experts)
    size = base.bytes_a_rank(arguments, ranks)
    states = 4 * FP32 * coverage.adapter // (ranks if arguments.fsdp else 1)  # weights, gradients, AdamW's averages
    there = _machine(ranks).gpu
    log.info(
        "preflight: the base takes %s a process while it loads, adapter and optimizer %s; %s; activations come on top",
        gib(size), gib(states), f"{there.name} has {gib(there.usable)}" if there else "there is no GPU to compare with",
    )  # fmt: skip


def _report(result: Preflight) -> None:
    figures = result.plan
    log.info(
        "preflight: %d steps of %d pairs on %d processes, %d rows", figures.steps, figures.pairs_per_step,
        figures.ranks, figures.rows,
    )  # fmt: skip
    if result.memory is None:
        log.info("preflight: memory not estimated: %s", result.unknown)
        if result.unserved:
            log.info("preflight: the held-out rows are judged on the base in NF4 alone: %s", result.unserved)
    else:
        peak, gpu = result.memory.peak, result.machine.gpu
        there = f"{gpu.name} has {gib(gpu.usable)}" if gpu else "there is no GPU memory to compare with"
        log.info("preflight: %s a process at the peak (%s); %s", gib(peak.bytes), peak.name, there)
    for problem in result.problems:
        log.warning("preflight: %s", problem)
    for note in result.notes:
        log.info("preflight: %s", note)


def _machine(ranks: int) -> Machine:
    import torch

    if not torch.cuda.is_available():
        return Machine("this machine", ranks)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    total, capability = properties.total_memory, (properties.major, properties.minor)
    return Machine("this machine", ranks, Gpu(properties.name, total // MIB, total / GIB, capability))
