"""Every question is in one batch, within the memory, and what is computed once is what all of the batch begin with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steps.train.answers.prefix import SHORTEST, Batch, batches, shared_tokens

BEGINNINGS = st.sampled_from([(), tuple(range(20)), tuple(range(60)), tuple(range(100, 300))])
PROMPTS = st.lists(
    st.builds(lambda begin, own: begin + tuple(own), BEGINNINGS, st.lists(st.integers(0, 3), min_size=1, max_size=40)),
    min_size=1,
    max_size=30,
)


@given(PROMPTS, st.integers(1, 4), st.integers(1, 40), st.integers(1, 3000), st.booleans())
def test_every_question_is_asked_once_and_the_rows_are_laid_out_without_gaps(
    prompts: list[tuple[int, ...]], ranks: int, new: int, most: int, shares: bool
) -> None:
    found = batches(prompts, ranks=ranks, new=new, most=most, shares=shares)
    numbers: list[int] = []
    for batch in found:
        assert len(batch.of_rank) == ranks and all(batch.of_rank)
        together = {number for rank in batch.of_rank for number in rank}
        numbers += together
        for rank in batch.of_rank:
            longest = max(len(prompts[number]) for number in rank)
            assert len(rank) == 1 or len(rank) * (longest + new) <= most
        assert shares or not batch.shared
        for number in together:
            if batch.shared:
                before = len(prompts[number]) - batch.own
                assert 0 <= before <= len(batch.shared)
                assert prompts[number][: len(batch.shared)] == batch.shared
                assert batch.own >= 1 and len(batch.shared) >= SHORTEST
    assert sorted(numbers) == list(range(len(prompts)))


@given(PROMPTS, st.integers(1, 3))
def test_the_first_questions_come_first(prompts: list[tuple[int, ...]], ranks: int) -> None:
    firsts = [min(map(min, batch.of_rank)) for batch in batches(prompts, ranks=ranks, new=1, most=1)]
    assert firsts == sorted(firsts)


def test_prompts_of_the_same_tools_share_their_beginning() -> None:
    tools = tuple(range(500))
    prompts = [(*tools, 900 + number, *range(number)) for number in range(8)]
    assert batches(prompts, ranks=2, new=9, most=10_000) == [Batch(((0, 2, 4, 6), (1, 3, 5, 7)), tools, own=8)]
    by_itself = batches(prompts[:2], ranks=2, new=9, most=10_000)
    assert by_itself == [Batch(((0,), (1,)), (), own=502)]  # a row a rank: nothing is computed twice


def test_a_group_that_fills_batches_has_its_own_and_the_rest_goes_by_length() -> None:
    tools = tuple(range(100))
    prompts = [(*tools, 900 + number) for number in range(5)] + [(7,) * 120, (8,) * 121]
    found = batches(prompts, ranks=1, new=10, most=4 * 111)
    assert found == [
        Batch(((0, 1, 2, 3),), tools, own=1),
        Batch(((4, 5, 6),), (), own=121),
    ]


def test_a_prompt_that_others_begin_with_keeps_a_token_of_its_own() -> None:
    whole = tuple(range(50))
    (batch,) = batches([whole, (*whole, 1), (*whole, 2)], ranks=1, new=4, most=1000)
    assert batch.shared == whole[:49] and batch.own == 2
    assert shared_tokens((1, 2, 3), (1, 2)) == 2 and shared_tokens((), (1,)) == 0
