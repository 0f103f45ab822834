"""Steps whose batches are made from packed sizes: every pair once an epoch, ranks alike, the same order again."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.train.rows.tokenise import Pair
from steps.train.shared_prompts.batches import Order, Steps
from steps.train.shared_prompts.row import Sizes

ORDERS = st.builds(
    lambda per_batch, accumulation, ranks, budget, grouped: Order(
        per_batch * accumulation * ranks, per_batch, budget, grouped, 42, ranks
    ),
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.sampled_from([None, 60, 200]), st.booleans(),
)  # fmt: skip
LENGTHS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40)


def rows(lengths: list[tuple[int, int, int]]) -> list[Pair]:
    """Pairs of five prompts of 5 to 25 tokens."""
    return [
        Pair(f"row-{number}", [prompt] * (5 * prompt + 5), [7] * chosen, [1] * chosen, [8] * rejected, [1] * rejected,
             "chat", False)
        for number, (prompt, chosen, rejected) in enumerate(lengths)
    ]  # fmt: skip


@given(LENGTHS, ORDERS)
def test_an_epoch_sees_every_pair_and_no_rank_waits_for_a_batch(lengths, order: Order) -> None:
    sizes = Sizes(rows(lengths))
    steps = order.epoch(sizes, 0)
    seen = Counter(row for step in steps for row in step)
    assert set(seen) == set(range(len(lengths)))
    assert seen.total() == len(lengths) + -len(lengths) % order.ranks  # filled up to the ranks
    assert all(len(step) == order.pairs for step in steps[:-1])
    for step in steps:
        passes = order.passes(step, sizes)
        assert Counter(row for ranks in passes for batch in ranks for row in batch) == Counter(step)
        for ranks in passes:
            assert len(ranks) == order.ranks
            assert len({len(batch) for batch in ranks}) == 1 and ranks[0]
            assert order.budget is None or all(sizes.of(batch) <= order.budget for batch in ranks)
            assert order.budget is not None or len(ranks[0]) <= order.per_batch


@given(LENGTHS, st.integers(1, 4))
def test_the_pairs_of_a_prompt_follow_each_other(lengths, ranks: int) -> None:
    sizes = Sizes(rows(lengths))
    order = Order(4 * ranks, 4, None, True, 42, ranks)
    prompts = [sizes.prompts[row] for step in order.epoch(sizes, 3) for row in step][: len(lengths)]
    assert len(list(itertools.groupby(prompts))) == len(set(prompts))


def test_the_copies_of_a_pair_are_in_steps_of_their_own() -> None:
    pairs = rows([(number % 20, 3, 4) for number in range(80)])
    pairs += [pairs[0]] * 9
    sizes, order = Sizes(pairs), Order(4, 4, None, True, 42)
    steps = order.epoch(sizes, 0)
    copies = [sum(row == 0 or row >= 80 for row in step) for step in steps]
    assert sum(copies) == 10 and sum(map(bool, copies)) >= 7


def test_epochs_differ_and_the_same_epoch_does_not() -> None:
    sizes = Sizes(rows([(number % 5, 3, 4) for number in range(60)]))
    order = Order(8, 4, None, True, 42)
    assert order.epoch(sizes, 1) == order.epoch(sizes, 1) != order.epoch(sizes, 2)
    assert order.epoch(sizes, 1) != Order(8, 4, None, True, 43).epoch(sizes, 1)


def test_ranks_get_about_as_many_tokens() -> None:
    sizes = Sizes(rows([(number % 5, 1 + number * 7 % 9, 1 + number * 5 % 9) for number in range(320)]))
    order = Order(64, 4, None, True, 42, 4)
    steps = order.epoch(sizes, 0)
    assert len(steps) == 5
    for step in steps:
        passes = order.passes(step, sizes)
        loads = [sum(sizes.of(ranks[rank]) for ranks in passes) for rank in range(4)]
        assert max(loads) < 1.1 * min(loads)


def test_shares_of_a_step_make_the_mean_over_its_pairs() -> None:
    pairs = rows([(number % 5, 1 + number % 9, 1 + number % 7) for number in range(50)])
    order = Order(24, 4, 120, False, 42, 3)
    ranks = [Steps(pairs, order, rank) for rank in range(3)]
    assert len(ranks[0]) >= 2
    for step in range(len(ranks[0])):
        mine = [one[step] for one in ranks]
        assert len({tuple(share for share, _ in one) for one in mine}) == 1
        assert sum(share for one in mine for share, _ in one) == pytest.approx(3)  # the ranks' gradients are averaged
        weights = {share / len(batch) for one in mine for share, batch in one}
        assert max(weights) == pytest.approx(min(weights))


def test_a_pair_that_no_batch_holds_is_named() -> None:
    with pytest.raises(StepError) as caught:
        Steps(rows([(0, 1, 1), (4, 9, 9)]), Order(4, 4, 40, False, 42), 0)
    assert str(caught.value) == (
        "max_tokens_per_batch: 40: a pair alone takes 42 tokens (row row-1); raise it to that at least, or lower "
        "max_length"
    )
