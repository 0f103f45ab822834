"""What a recipe adds up to, against the samplers that the trainer really uses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.arguments import TrainArguments
from steps.train.preflight.totals import notes, plan


def recipe(**values: Any) -> TrainArguments:
    return TrainArguments(model_id="m", **values)


def test_epochs_over_rows() -> None:
    found = plan(recipe(per_device_train_batch_size=2, gradient_accumulation_steps=8, num_train_epochs=3), 4, 10_000)
    assert found.pairs_per_step == 2 * 8 * 4
    # 5,000 batches, 1,250 a rank, 156.25 steps an epoch: 157, three times.
    assert (found.steps, found.warmup_steps) == (471, 48)
    assert (found.pairs_seen, found.tokens_at_most) == (30_000, 2 * 30_000 * 1024)
    assert found.rows_needed == 64


def test_max_steps_win_over_epochs() -> None:
    found = plan(recipe(max_steps=100, warmup_steps=20), 2)
    assert (found.steps, found.warmup_steps, found.epochs) == (100, 20, None)
    assert found.rows_needed == found.pairs_seen == 100 * 2 * 8 * 2


def test_without_rows_the_steps_are_not_known() -> None:
    found = plan(recipe(), 1)
    assert (found.steps, found.pairs_seen, found.tokens_at_most, found.warmup_steps) == (None, None, None, None)


def test_a_constant_schedule_has_no_warm_up() -> None:
    assert plan(recipe(lr_scheduler_type="constant"), 1, 1000).warmup_steps == 0


@given(rows=st.integers(1, 500), each=st.integers(1, 9), ranks=st.integers(1, 9), accumulation=st.integers(1, 9))
def test_steps_are_the_trainers(rows: int, each: int, ranks: int, accumulation: int) -> None:
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, SequentialSampler

    batches = len(
        BatchSamplerShard(BatchSampler(SequentialSampler(range(rows)), each, drop_last=False), num_processes=ranks)
    )
    # transformers.Trainer.set_initial_training_values
    wanted = max(batches // accumulation + int(batches % accumulation > 0), 1)
    arguments = recipe(per_device_train_batch_size=each, gradient_accumulation_steps=accumulation)
    assert plan(arguments, ranks, rows).steps == wanted


@pytest.mark.parametrize(
    ("arguments", "ranks", "rows", "note"),
    [
        ({}, 4, 40, "40 rows are fewer than the 64 pairs of one optimizer step: lower gradient_accumulation_steps"),
        ({"save_steps": 500}, 1, 1000, "save_steps: 500 is above the run's 63 steps: an interruption would lose every"),
        ({"fsdp": True, "save_steps": 1}, 1, 1000, "fsdp: true on one process: there is nothing to shard"),
        ({"fsdp": False, "save_steps": 1}, 4, 1000, "fsdp: false on 4 processes: each holds the whole base"),
        ({"precompute_ref_log_probs": True}, 1, 100,
         "precompute_ref_log_probs: the run sees 100 pairs of 100 rows: no less work by itself, only for later runs"),
    ],
)  # fmt: skip
def test_what_is_worth_a_second_look_is_said(arguments: dict[str, Any], ranks: int, rows: int, note: str) -> None:
    made = recipe(**arguments)
    assert any(line.startswith(note) for line in notes(made, plan(made, ranks, rows)))
