"""Word differences: the text stays the text, and what both have is not marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.shared.pages.differences import pieces

texts = st.text(alphabet=st.sampled_from("ab 1.{\n\u202e"), max_size=60)


def marked(text: str, other: str) -> list[str]:
    return [piece.text.strip() for piece in pieces(text, other) if piece.differs]


@given(texts, texts)
def test_the_pieces_are_the_text_in_turns_and_white_space_alone_is_not_marked(text: str, other: str) -> None:
    found = pieces(text, other)
    assert "".join(piece.text for piece in found) == text
    assert all(piece.text for piece in found)
    assert all(piece.text.strip() for piece in found if piece.differs)


@given(texts)
def test_a_text_differs_not_from_itself_and_wholly_from_none(text: str) -> None:
    assert marked(text, text) == []
    assert bool(marked(text, "")) == bool(text.strip())


@pytest.mark.parametrize(
    ("text", "other", "found"),
    [
        ('{"city": "Lima", "day": "Monday"}', '{"city": "Lima", "day": "Friday"}', ["Monday"]),
        ("It rains today.", "It rains.", ["today"]),
        ("It  rains.", "It rains.", []),
        ("", "It rains.", []),
        ("Es regnet.", "It rains.", ["Es regnet"]),
    ],
)
def test_what_differs_is_a_word_not_the_whole_line(text: str, other: str, found: list[str]) -> None:
    assert marked(text, other) == found
