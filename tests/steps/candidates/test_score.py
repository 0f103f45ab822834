"""Scores of answers: what is wrong with their calls and their form, and by how much."""

from __future__ import annotations

from typing import Any

import pytest

from steps.candidates.score import Score, score
from tests.steps.candidates.made import SIGNS, answer, call, calling, prompt, saying

LOOP = "rain and sun " * 30


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        (call(), {"reference": calling()}, Score(1.0)),
        (f"Let me look.\n{call()}", {"reference": calling()}, Score(1.0)),
        (call("Rome"), {"reference": calling()}, Score(0.5, "arguments")),
        (call(days=2), {"reference": calling()}, Score(0.5, "arguments")),
        (call() + call("Rome"), {"reference": calling()}, Score(0.25, "number")),
        (call(7), {"reference": calling()}, Score(0.25, "schema")),
        (call(name="get_rain"), {"reference": calling()}, Score(0.0, "undeclared")),
        ("It will.", {"reference": calling()}, Score(0.0, "decision")),
        (call(), {"reference": saying("Which day?")}, Score(0.0, "decision")),
        ("Which city?", {"reference": saying("Which day?")}, Score(1.0)),
        ('<tool_call>{"name": </tool_call>', {"reference": calling()}, Score(0.0, "unreadable")),
        ("Which day?</tool_call>", {"reference": saying("Which day?")}, Score(0.0, "unreadable")),
        # Without a reference: what its schema and its form say.
        (call(), {}, Score(1.0)),
        ("Which day?", {}, Score(1.0)),
        (call(7), {}, Score(0.25, "schema")),
        (call(name="get_rain"), {}, Score(0.0, "undeclared")),
        # What people are against is wrong, whoever says it.
        (call(), {"against": [calling()]}, Score(0.0, "repeated")),
        (call("Rome"), {"against": [calling()]}, Score(1.0)),
        ("It will\nnot.", {"against": [saying("It will not.")]}, Score(0.0, "repeated")),
        (LOOP, {}, Score(0.0, "form")),
        ("Yes.<|im_end|>", {}, Score(0.0, "form")),
    ],
)
def test_what_is_wrong_most_counts(text: str, known: dict[str, Any], expected: Score) -> None:
    assert score(answer(text), prompt(**known), SIGNS) == expected


@pytest.mark.parametrize(("text", "ended"), [("", True), (" \n", True), ("It will rain tomorr", False), ("", False)])
def test_what_cannot_be_trained_on_has_no_score(text: str, ended: bool) -> None:
    assert score(answer(text, ended=ended), prompt(), SIGNS) is None


def test_an_answer_without_an_end_that_loops_has_one() -> None:
    assert score(answer(LOOP, ended=False), prompt(), SIGNS) == Score(0.0, "form")


def test_without_tools_or_without_a_parser_calls_are_text() -> None:
    assert score(answer(call(7), tools=False), prompt(tools=False), SIGNS) == Score(1.0)
    assert score(answer(call(7), parser=None), prompt(), SIGNS) == Score(1.0)
