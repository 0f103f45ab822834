"""What a recipe adds up to: pairs in an optimizer step, steps, pairs and tokens seen, the rows that it needs.

The number of steps is transformers' (Trainer.set_initial_training_values) over accelerate's sharded batches. Pure
arithmetic; whether it fits into memory is for `memory`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from steps.train.arguments import TrainArguments


@dataclass(frozen=True)
class Plan:
    """Figures of a run; None where they depend on the rows and those are not known.

    Attributes:
        ranks: processes, one a GPU.
        pairs_per_step: the effective batch size: pairs that one optimizer step sees.
        epochs: passes over the rows; None where max_steps sets the length instead.
        rows_needed: the fewest rows of which no pair is seen twice (with `max_steps`), or that fill one step.
        pairs_seen, tokens_at_most: over the whole run; a pair has two sequences of at most `max_length` tokens.
    """

    ranks: int
    pairs_per_step: int
    epochs: float | None
    rows: int | None
    rows_needed: int
    steps: int | None
    warmup_steps: int | None
    pairs_seen: int | None
    tokens_at_most: int | None


def plan(arguments: TrainArguments, ranks: int, rows: int | None = None) -> Plan:
    """The figures for `ranks` processes and `rows` training rows."""
    each = arguments.per_device_train_batch_size
    pairs = each * arguments.gradient_accumulation_steps * ranks
    steps: int | None = None
    seen: int | None = None
    if arguments.max_steps > 0:
        steps, seen = arguments.max_steps, arguments.max_steps * pairs
    elif rows:
        batches = math.ceil(math.ceil(rows / each) / ranks)
        an_epoch = max(1, math.ceil(batches / arguments.gradient_accumulation_steps))
        steps, seen = math.ceil(arguments.num_train_epochs * an_epoch), math.ceil(rows * arguments.num_train_epochs)
    # A constant schedule has no warm-up, whatever warmup_steps says.
    warmup = 0 if arguments.lr_scheduler_type == "constant" else arguments.warmup_steps
    return Plan(
        ranks=ranks,
        pairs_per_step=pairs,
        epochs=None if arguments.max_steps > 0 else arguments.num_train_epochs,
        rows=rows,
        rows_needed=arguments.max_steps * pairs if arguments.max_steps > 0 else pairs,
        steps=steps,
        warmup_steps=None if steps is None else math.ceil(steps * warmup) if warmup < 1 else int(warmup),
        pairs_seen=seen,
        tokens_at_most=None if seen is None else 2 * seen * arguments.max_length,
    )


def notes(arguments: TrainArguments, figures: Plan) -> list[str]:
    """What is allowed and worth a second look."""
    found = []
    if figures.rows is not None and figures.rows < figures.pairs_per_step:
        found.append(
            f"{figures.rows} rows are fewer than the {figures.pairs_per_step} pairs of one optimizer step: "
            "lower gradient_accumulation_steps"
        )
    if figures.steps is not None and figures.steps < arguments.save_steps:
        found.append(
            f"save_steps: {arguments.save_steps} is above the run's {figures.steps} steps: an interruption would lose "
            "everything before the end"
        )
    seen = figures.pairs_seen
    if arguments.precompute_ref_log_probs and figures.rows and seen is not None and seen <= figures.rows:
        found.append(
            f"precompute_ref_log_probs: the run sees {seen} pairs of {figures.rows} rows: no less work by "
            "itself, only for later runs with the same ref_log_probs_cache"
        )
    if arguments.fsdp and figures.ranks == 1:
        found.append("fsdp: true on one process: there is nothing to shard")
    if not arguments.fsdp and figures.ranks > 1:
        found.append(f"fsdp: false on {figures.ranks} processes: each holds the whole base")
    return found
