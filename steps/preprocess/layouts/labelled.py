"""Layouts of two answers and a label that says which is better. A tie is no pair, and leaves the row out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from steps.preprocess.layouts import chats
from steps.preprocess.rows.json_values import finite, kind
from steps.preprocess.rows.messages import conversation, user_turn
from steps.preprocess.rows.notes import Notes, Side
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason, quoted
from steps.shared.records import Messages

FIRST, SECOND, TIE = -1, 1, 0
LABEL = (int, float, str)  # tables without types have numbers as texts
WINNERS = {
    "model_a": FIRST,
    "model_b": SECOND,
    "a": FIRST,
    "b": SECOND,
    **dict.fromkeys(("tie", "tie (bothbad)", "bothbad", "both_bad"), TIE),
}
WINNER_FLAGS = {"winner_model_a": FIRST, "winner_model_b": SECOND, "winner_tie": TIE}  # of which one is 1
LIST_OF_TEXTS = re.compile(r"\s*\[\s*(?:\"|null\s*(?=[,\]])).*\]\s*", re.DOTALL)  # JSON
Verdict = Callable[[Row], int]  # FIRST, SECOND or TIE


def reader(prompt: str, first: str, second: str, verdict: Verdict) -> Callable[[Row, Notes], Pair]:
    """A function that reads a row with these fields.

    It raises InvalidRow with the reason `tied` where neither answer is better, `wrong_type` where the label is none.
    """

    def read(row: Row, notes: Notes) -> Pair:
        better, worse = _ordered(first, second, verdict(row))
        return Pair(
            asked(row[prompt], prompt, notes.chosen),
            conversation(row[better], better, notes.chosen),
            conversation(row[worse], worse, notes.rejected),
        )

    return read


def _ordered(first: str, second: str, verdict: int) -> tuple[str, str]:
    if verdict == TIE:
        raise InvalidRow(Reason.TIED, f"neither of {first} and {second} is judged to be better")
    return (first, second) if verdict < 0 else (second, first)


def asked(value: Any, field: str, side: Side) -> Messages:
    """A prompt that is one text, or chat messages."""
    return user_turn(value, field) if isinstance(value, str) else conversation(value, field, side)


def number(value: Any, field: str) -> float:
    """A finite number, or the text of one; raises InvalidRow, wrong_type."""
    if (found := finite(value)) is not None:
        return found
    said = repr(value) if isinstance(value, str | float) else kind(value)
    raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {said}; must be a number")


def among(field: str, meanings: Mapping[float, int]) -> Verdict:
    """A label that is one of some numbers."""

    def verdict(row: Row) -> int:
        found = meanings.get(number(row[field], field))
        if found is None:
            known = ", ".join(f"{value:g}" for value in meanings)
            raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {quoted(row[field])}; must be one of {known}")
        return found

    return verdict


def strength(field: str, most: float) -> Verdict:
    """A label from minus `most`, where the first answer is better, to plus."""

    def verdict(row: Row) -> int:
        value = number(row[field], field)
        if abs(value) > most:
            raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {quoted(row[field])}; must be from {-most:g} to {most:g}")
        return (value > 0) - (value < 0)

    return verdict


def scores(first: str, second: str) -> Verdict:
    """Two scores, of which the higher one is better."""

    def verdict(row: Row) -> int:
        one, other = number(row[first], first), number(row[second], second)
        return (other > one) - (other < one)

    return verdict


def named(field: str) -> Verdict:
    """The name of the winner."""

    def verdict(row: Row) -> int:
        value = row[field]
        found = WINNERS.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            said = repr(value) if isinstance(value, str) else kind(value)
            raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {said}; must be one of {', '.join(WINNERS)}")
        return found

    return verdict


def flagged(row: Row) -> int:
    """The one of `winner_model_a`, `winner_model_b` and `winner_tie` that is 1."""
    found = [meaning for name, meaning in WINNER_FLAGS.items() if number(row[name], name) == 1]
    if len(found) != 1:
        raise InvalidRow(Reason.WRONG_TYPE, f"not one of {', '.join(WINNER_FLAGS)} is 1, but {len(found)}")
    return found[0]


def read_arena(row: Row, notes: Notes) -> Pair:
    """Two whole conversations, of which the winner's is better; they may differ in the last answer alone."""
    better, worse = _ordered("conversation_a", "conversation_b", named("winner")(row))
    return chats.read_implicit_prompt({"chosen": row[better], "rejected": row[worse]}, notes)


def has_texts(row: Row) -> bool:
    """Whether the prompt is no list of chat messages."""
    return not any(isinstance(turn, dict) for turn in row["prompt"])


def read_arena_texts(verdict: Verdict) -> Callable[[Row, Notes], Pair]:
    """A function that reads a prompt and two answers; as lists of texts, these are the turns of conversations."""

    def read(row: Row, notes: Notes) -> Pair:
        better, worse = _ordered("response_a", "response_b", verdict(row))
        names = ("prompt", better, worse)
        are_lists = all(_is_list(row[name]) for name in names)
        prompts, chosen, rejected = (_texts(row[name], name, are_lists) for name in names)
        whole = {"chosen": _talk(prompts, chosen, better), "rejected": _talk(prompts, rejected, worse)}
        return chats.read_implicit_prompt(whole, notes)

    return read


def _is_list(value: Any) -> bool:
    """Whether a value is a list of texts, or looks like one as a table holds it."""
    return isinstance(value, list) or LIST_OF_TEXTS.fullmatch(value) is not None


def _texts(value: Any, field: str, are_lists: bool) -> list[Any]:
    """The turns of a prompt or an answer; decoded where the row has lists throughout, else one turn."""
    if isinstance(value, str) and are_lists:
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise InvalidRow(Reason.NOT_JSON, f"{field} is a text that is not JSON: {error}") from None
    return value if isinstance(value, list) else [value]


def _talk(prompts: list[Any], answers: list[Any], field: str) -> list[dict[str, Any]]:
    if len(prompts) != len(answers):
        raise InvalidRow(Reason.TURN_ORDER, f"{field} has {len(answers)} turns to the {len(prompts)} of the prompt")
    turns = zip(prompts, answers, strict=True)
    return [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
