"""A packed row has each prompt once, and gives every token of an answer what a whole sequence would."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from steps.train.rows.tokenise import Pair
from steps.train.shared_prompts.row import Sizes, pack

IDS = st.lists(st.integers(0, 5), min_size=1, max_size=4)
SEQUENCES = st.lists(st.tuples(st.sampled_from([[1], [1, 2, 3], [4, 5]]), IDS), min_size=1, max_size=6)


def pair(number: int, prompt: list[int], chosen: list[int], rejected: list[int]) -> Pair:
    return Pair(f"row-{number}", prompt, chosen, [1] * len(chosen), rejected, [1] * len(rejected), "chat", False)


def test_two_pairs_of_one_prompt_with_an_answer_in_common() -> None:
    prompt, both, other, third = [1, 2, 3], [7, 8], [9], [6, 5, 4]
    packed = pack([(prompt, both, [1, 1]), (prompt, both, [1, 1]), (prompt, other, [1]), (prompt, third, [1, 0, 1])])
    assert packed.groups == ((2, (2, 1, 3)),)
    assert packed.input_ids.tolist() == [[1, 2, 3, 7, 3, 3, 6, 5]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 2, 2, 3, 4]]
    assert packed.targets.tolist() == [[7, 8, 9, 6, 4]]
    values = torch.tensor([[0.7, 0.8, 0.9, 0.6, 0.4]])
    assert packed.unpack(values).tolist() == torch.tensor(
        [[0, 0, 0.7, 0.8, 0], [0, 0, 0.7, 0.8, 0], [0, 0, 0.9, 0, 0], [0, 0, 0.6, 0, 0.4]]
    ).tolist()  # fmt: skip
    assert packed.query_ends.tolist() == [0, 2, 4, 5, 8]
    assert packed.key_ends.tolist() == [0, 2, 2 + 4, 6 + 3, 9 + 5]
    assert packed.seen.tolist() == [0, 1, 0, 1, 2, 3, 0, 1, 4, 0, 1, 5, 6, 7]
    assert (packed.most_queries, packed.most_keys) == (3, 5)
    assert packed.squares == 4 + (16 - 4) + (9 - 4) + (25 - 4)


@given(SEQUENCES)
def test_every_answer_comes_back_to_its_place(sequences: list[tuple[list[int], list[int]]]) -> None:
    masked = [(prompt, answer, [number % 3 > 0 for number in range(len(answer))]) for prompt, answer in sequences]
    packed = pack(masked)
    back = packed.unpack(packed.targets)
    for row, (prompt, answer, mask) in zip(back.tolist(), masked, strict=True):
        expected = [0] * (len(prompt) - 1) + [token * counts for token, counts in zip(answer, mask, strict=True)]
        assert row == expected + [0] * (packed.longest - 1 - len(expected))
    for place, target in zip(packed.scored.tolist(), packed.targets[0].tolist(), strict=True):
        assert packed.input_ids.shape == packed.position_ids.shape == (1, packed.tokens)
        assert 0 <= place < packed.tokens and 0 <= target <= 5


@given(SEQUENCES, st.integers(2, 40))
def test_sizes_are_those_of_the_packed_rows(sequences: list[tuple[list[int], list[int]]], budget: int) -> None:
    pairs = [pair(number, prompt, answer, [*answer, 6]) for number, (prompt, answer) in enumerate(sequences)]
    sizes = Sizes(pairs)

    def tokens(rows: list[Pair]) -> int:
        sides = [(one.prompt_ids, one.chosen_ids, one.chosen_mask) for one in rows]
        return pack(sides + [(one.prompt_ids, one.rejected_ids, one.rejected_mask) for one in rows]).tokens

    assert sizes.of(range(len(pairs))) == tokens(pairs)
    fitting = sizes.fitting(range(len(pairs)), budget)
    assert fitting == 0 or tokens(pairs[:fitting]) <= budget
    assert fitting == len(pairs) or tokens(pairs[: fitting + 1]) > budget
