"""Draws of tokens: the distribution, the share of the likeliest, and each answer's own random numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.candidates.draw import numbers_of


def drawn(logits: list[float], uniform: list[float], temperature: float = 1.0, top_p: float = 1.0) -> list[int]:
    """One token for each random number, from the same logits."""
    import torch

    from steps.candidates.draw import Draws

    draws = Draws.of([[number] for number in uniform], temperature, top_p, torch.device("cpu"))
    rows = torch.tensor(logits, dtype=torch.float32).expand(len(uniform), -1)
    return draws(rows, torch.arange(len(uniform)), 0).tolist()


def test_tokens_come_as_often_as_they_are_likely() -> None:
    import torch

    logits = [0.3, 2.0, -1.0, 1.0]
    grid = [(number + 0.5) / 10_000 for number in range(10_000)]
    for temperature in (0.5, 1.0, 2.0):
        found = torch.bincount(torch.tensor(drawn(logits, grid, temperature)), minlength=4) / len(grid)
        expected = torch.softmax(torch.tensor(logits) / temperature, dim=0)
        assert torch.allclose(found, expected, atol=2e-4)


def test_only_the_likeliest_that_have_the_share_together_are_drawn() -> None:
    from math import log

    logits = [log(0.5), log(0.3), log(0.15), log(0.05)]
    grid = [number / 1000 for number in range(1000)]
    assert set(drawn(logits, grid, top_p=0.1)) == {0}
    assert set(drawn(logits, grid, top_p=0.6)) == {0, 1}
    assert set(drawn(logits, grid, top_p=0.9)) == {0, 1, 2}
    assert set(drawn(logits, grid)) == {0, 1, 2, 3}
    two = drawn(logits, grid, top_p=0.6)
    assert two.count(0) == pytest.approx(625, abs=2)  # 0.5 of 0.8


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20),
    uniform=st.floats(0, 1, exclude_max=True, width=32),
    temperature=st.floats(0.01, 10),
    top_p=st.floats(0.01, 1),
)
def test_whatever_comes_a_token_is_drawn(logits: list[float], uniform: float, temperature: float, top_p: float) -> None:
    (token,) = drawn(logits, [uniform], temperature, top_p)
    assert 0 <= token < len(logits)
    (likeliest,) = drawn(logits, [uniform], temperature, 1e-9)
    assert logits[likeliest] == pytest.approx(max(logits), abs=1e-3)


def test_numbers_are_an_answers_own() -> None:
    known = numbers_of(1, "key", 0, 50)
    assert known == numbers_of(1, "key", 0, 50) and known[:20] == numbers_of(1, "key", 0, 20)
    others = [numbers_of(2, "key", 0, 50), numbers_of(1, "kez", 0, 50), numbers_of(1, "key", 1, 50)]
    assert len({tuple(one) for one in (known, *others)}) == 4
    assert all(0 <= number < 1 for number in known)
