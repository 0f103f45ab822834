"""Before the GPU bill starts: does a recipe hang together, what does it add up to, does it fit the GPU's memory.

`preflight` is what `python pipeline.py check` and the training script both call. The estimate is checked against
simulated allocations and not yet against a GPU's own figures: a run that is refused by a few percent may still fit.
Imports neither torch nor transformers, and reads no file but a model's config.json (`model.shape.read`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from steps.train.arguments import Attention, TrainArguments
from steps.train.footprint.sizes import Footprint
from steps.train.model.shape import ModelShape
from steps.train.preflight import conflicts, instances, judging, judging_time
from steps.train.preflight.base_alone import BaseAlone
from steps.train.preflight.conflicts import Problem
from steps.train.preflight.fixes import changes as changes_that_fit
from steps.train.preflight.fixes import gib
from steps.train.preflight.instances import Gpu
from steps.train.preflight.memory import Estimate
from steps.train.preflight.totals import Plan, notes, plan

MEMORY = "memory"  # the key of the problem that a run is too large
TIGHT = 0.05  # a smaller share of free memory is worth a note, and a change that leaves less is not proposed


@dataclass(frozen=True)
class Machine:
    """The processes of a run, one a GPU, and the GPU: None where there is none, or where it is not known."""

    name: str
    ranks: int = 1
    gpu: Gpu | None = None
    note: str | None = None  # why there is no GPU to compare with


@dataclass(frozen=True)
class Preflight:
    """The outcome. `memory` is None where `unknown` says why the model's shape is not known."""

    machine: Machine
    plan: Plan
    problems: list[Problem]
    notes: list[str]
    memory: Estimate | None
    unknown: str | None
    changes: list[str]  # changes after which it would fit, each estimated
    smallest: str | None  # the smallest instance type on which the recipe fits as it is
    unserved: str | None  # why the held-out rows are not evaluated in the form that is served

    @property
    def fits(self) -> bool | None:
        """Whether the peak is within the GPU's memory; None where one of the two is not known."""
        if self.memory is None or self.machine.gpu is None:
            return None
        return self.memory.peak.bytes <= self.machine.gpu.usable

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "machine": asdict(self.machine),
            "plan": asdict(self.plan),
            "problems": [str(problem) for problem in self.problems],
            "notes": self.notes,
            "memory": self._memory(self.memory) if self.memory else None,
            "memory_unknown": self.unknown,
            "changes": self.changes,
            "smallest_instance_type": self.smallest,
            "not_evaluated_as_served": self.unserved,
        }

    def _memory(self, estimate: Estimate) -> dict[str, Any]:
        return {
            "peak_bytes": estimate.peak.bytes,
            "usable_bytes": self.machine.gpu.usable if self.machine.gpu else None,
            "fits": self.fits,
            "peak_phase": estimate.peak.name,
            "phases": [
                {"name": phase.name, "bytes": phase.bytes, "items": {one.name: one.bytes for one in phase.items}}
                for phase in estimate.phases
            ],
        }


def preflight(
    arguments: TrainArguments,
    machine: Machine,
    shape: ModelShape | None,
    *,
    unknown: str | None = None,
    attention: Attention | None = None,
    rows: int | None = None,
    length: int | None = None,
    base: BaseAlone | None = None,
    measured: Footprint | None = None,
    held_out: int | None = None,
    pair_tokens: float | None = None,
) -> Preflight:
    """Judge a recipe.

    Args:
        unknown: why there is no `shape`.
        base: what is known of the base where neither its shape nor its footprint is.
        measured: the model's footprint, where its shape is not known.
        attention: the implementation that runs, where known; `auto` is taken for SDPA, which needs a little more.
        rows, length: training rows and the tokens of the longest, where known.
        held_out, pair_tokens: held-out rows, and the tokens that a row's pair takes on average, where known.
    """
    runs = attention or assumed(arguments)
    figures = plan(arguments, machine.ranks, rows)
    found = [*conflicts.problems(arguments, shape, machine.gpu), *conflicts.rate_problems(figures)]
    remarks = notes(arguments, figures)
    if machine.note:
        remarks.append(machine.note)
    sizes = shape or measured
    if sizes is None:
        if base:
            remarks.append(f"{base.told(arguments)}; it takes {gib(base.bytes_a_rank(arguments, machine.ranks))} a GPU")
            found += _base_too_large(arguments, machine, base)
        unserved = judging.without_estimate(arguments, unknown or "the model is not known")
        return Preflight(machine, figures, found, remarks, None, unknown, [], None, unserved)
    judged = judging.with_judging(arguments, sizes, ranks=machine.ranks, attention=runs, length=length, gpu=machine.gpu)
    estimate = judged.whole
    name = machine.gpu.name if machine.gpu else None
    remarks += judging_time.notes(arguments, figures, sizes, judged.unserved, name, held_out, pair_tokens)
    smallest = smallest_instance(arguments, sizes, runs, length)
    changes: list[str] = []
    if machine.gpu:
        share = estimate.peak.bytes / machine.gpu.usable
        if share > 1:
            changes = _changes(arguments, sizes, machine.ranks, machine.gpu, runs, length)
            found.append(_too_large(estimate, machine.gpu, changes, smallest))
        elif share > 1 - TIGHT:
            remarks.append(f"only {1 - share:.0%} of the GPU's memory is left: the estimate is not that exact")
    return Preflight(machine, figures, found, remarks, estimate, unknown, changes, smallest, judged.unserved)


def assumed(arguments: TrainArguments) -> Attention:
    """The attention to estimate with, before any hardware is asked."""
    return "sdpa" if arguments.attn_implementation == "auto" else arguments.attn_implementation


def on_instances(name: str | None, count: int = 1, processes_per_node: int | None = None) -> Machine:
    """The machine that `count` instances of a type make, a process a GPU; one process where it has none."""
    if name is None:
        return Machine("one process", processes_per_node or 1, None, "no instance type given: nothing to compare with")
    found = instances.find(name)
    label = f"{count} x {name}"
    if found is None:
        return Machine(label, count * (processes_per_node or 1), None, instances.unknown(name))
    ranks = count * (processes_per_node or found.gpus or 1)
    if found.gpu is None:
        return Machine(label, ranks, None, f"{name} has no GPU: there is no GPU memory to compare with")
    return Machine(label, ranks, found.gpu)


def smallest_instance(
    arguments: TrainArguments, shape: ModelShape | Footprint, attention: Attention, length: int | None = None
) -> str | None:
    """The smallest instance type, one of it, on which the recipe fits as it is."""
    for one, gpu in instances.by_size():
        if arguments.bf16 and not gpu.has_bf16:
            continue
        needed = judging.with_judging(arguments, shape, ranks=one.gpus, attention=attention, length=length).whole
        if needed.peak.bytes <= gpu.usable:
            return one.name
    return None


def _too_large(estimate: Estimate, gpu: Gpu, changes: list[str], smallest: str | None) -> Problem:
    peak = estimate.peak
    fixes = [*changes, *([f"1 x {smallest}"] if smallest else [])]
    if fixes:
        fix = f"each of these would fit: {'; '.join(fixes)}"
    else:
        fix = "no change of settings is enough: take more GPUs, or GPUs with more memory"
    needed = f"{gib(peak.bytes)} a GPU are estimated ({peak.name}), {gpu.name} has {gib(gpu.usable)}"
    return Problem(MEMORY, f"{needed}; {fix}")


def _base_too_large(arguments: TrainArguments, machine: Machine, base: BaseAlone) -> Iterator[Problem]:
    """The base alone is larger than the GPU. Code that comes with a model may hold its experts as layers, which become
    4-bit: nothing is said of those."""
    size = base.bytes_a_rank(arguments, machine.ranks)
    if machine.gpu and size > machine.gpu.usable and not arguments.trust_remote_code:
        fix = "take GPUs with more memory"
        if not arguments.load_in_4bit and base.quantised > base.weights / 2:
            fix = f"set load_in_4bit: true, or {fix}"
        yield Problem(
            MEMORY, f"the base alone takes {gib(size)} a GPU, {machine.gpu.name} has {gib(machine.gpu.usable)}; {fix}"
        )


def _changes(
    arguments: TrainArguments,
    shape: ModelShape | Footprint,
    own: int,
    gpu: Gpu,
    attention: Attention,
    length: int | None,
) -> list[str]:
    """Changes after which the run on its `own` number of ranks would fit with a little to spare."""

    def peak(changed: TrainArguments, ranks: int) -> int:
        longest = min(length, changed.max_length) if length else None
        judged = judging.with_judging(changed, shape, ranks=ranks, attention=attention, length=longest)
        return judged.whole.peak.bytes

    return list(changes_that_fit(arguments, own, (1 - TIGHT) * gpu.usable, peak))
