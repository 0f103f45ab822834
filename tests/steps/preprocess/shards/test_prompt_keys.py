"""Prompts that are the same one: case, white space and Unicode form do not count, however long they are."""

from __future__ import annotations

import hashlib
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.shards import prompt_keys
from steps.preprocess.shards.prompt_keys import prompt_key
from tests import growth

COMPOSING = st.sampled_from("e\u0301\u0327\u1100\u1161\u11a8\uac00\u09c7\u09be\uff76\uff9e\ufdfa\ufb01\u4e2d\u0130 A")


def key_of(text: str) -> bytes:
    return prompt_key([{"role": "user", "content": text}])


@settings(max_examples=100)
@given(st.text(COMPOSING, max_size=60))
def test_a_text_in_pieces_has_the_key_of_the_whole(text: str) -> None:
    whole = f"user\1{text}\2"
    folded = "".join(unicodedata.normalize("NFKC", whole).casefold().split()).encode()
    piece, prompt_keys.PIECE = prompt_keys.PIECE, 16
    try:
        assert key_of(text) == hashlib.sha256(folded).digest()[:16]
    finally:
        prompt_keys.PIECE = piece


def test_the_form_of_a_letter_does_not_count() -> None:
    assert key_of("Caf\u00e9 " * 900) == key_of("CAFE\u0301\n" * 900) != key_of("Cafe " * 900)


def test_time_grows_with_the_marks_on_a_letter() -> None:
    assert growth.is_linear(lambda size: key_of("a" + "\u0301\u0327" * size), 2_000)
