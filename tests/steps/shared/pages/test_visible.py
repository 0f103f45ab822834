"""Text of other people: nothing hides in it, and nothing that belongs to a language is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steps.shared.pages.visible import HIDDEN, LONGEST_NAME, name, visible


@given(st.text(st.characters() | st.sampled_from("\x00\x1b\u202e\u200b\ud800\n\t\U000e0041")))
def test_nothing_hides_in_a_text_or_a_name(text):
    assert not HIDDEN.search(visible(text))
    assert text.count("\n") == visible(text).count("\n")
    assert not HIDDEN.search(name(text)) and "\n" not in name(text)


def test_scripts_and_emoji_keep_their_joiners():
    assert visible("می‌خواهم 👩‍💻 é") == "می‌خواهم 👩‍💻 é"


def test_a_long_name_loses_its_middle():
    path = "a" * 1_000 + "/rows.jsonl"
    assert name(path).endswith("/rows.jsonl") and len(name(path)) < LONGEST_NAME + 10
    assert len(name("\x00" * 5_000)) < LONGEST_NAME + 10
    assert name("ordinary.jsonl") == "ordinary.jsonl"
