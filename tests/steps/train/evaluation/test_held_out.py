"""The evaluation of held-out rows: each row once, whatever the number of processes, and numbers only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.train.evaluation import log_probs
from steps.train.evaluation.figures import RowMargin
from steps.train.evaluation.held_out import require_finite
from steps.train.rows.tokenise import Pair


def pair(number: int, tokens: int) -> Pair:
    return Pair(f"row-{number}", [1], [2] * tokens, [1] * tokens, [3], [1], "chat", False)


def row(chosen: float, reference: float) -> RowMargin:
    return RowMargin("row-7", chosen, -1.0, reference, -1.0, 3, 3, "chat", False)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=25), st.integers(1, 6), st.integers(1, 5))
def test_every_process_runs_as_many_batches_and_no_row_is_missed(lengths, processes: int, batch_size: int) -> None:
    pairs = [pair(number, tokens) for number, tokens in enumerate(lengths)]
    shares = [log_probs.shares(pairs, batch_size, rank=rank, world=processes) for rank in range(processes)]
    assert len({tuple(len(batch) for batch in share) for share in shares}) == 1
    assert {one.id for share in shares for batch in share for one in batch} == {one.id for one in pairs}


def test_a_policy_that_gives_no_number_is_an_error_and_no_figure() -> None:
    require_finite([row(-3.0, -2.0)])
    with pytest.raises(StepError) as error:
        require_finite([row(-3.0, -2.0), row(float("nan"), -2.0)])
    assert str(error.value) == (
        "held-out evaluation: training diverged: the policy gives 1 of 2 rows a log-probability that is not finite, "
        "first row row-7; lower learning_rate, or raise beta"
    )
    with pytest.raises(StepError, match=r"the reference gives 1 of 1 rows .*; check bf16 and the model's weights"):
        require_finite([row(-3.0, float("-inf"))])
