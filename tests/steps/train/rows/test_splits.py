"""A split and its figures."""

from __future__ import annotations

from steps.train.rows.splits import Split
from steps.train.rows.tokenise import Left
from tests.steps.shared.templates.kinds import row


def test_rows_are_counted_of_which_either_answer_has_reasoning() -> None:
    kinds = ("single", "reasoning", "reasoning_both", "reasoning_call", "think_tags_in_text")
    assert Split("train", [row(kind) for kind in kinds], [], Left()).reasoning == 3
