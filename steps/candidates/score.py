"""How good an answer is, from 0 to 1, as far as can be told without a judge: by its calls and its form.

    1     nothing wrong is found
    0.5   the right function, and other arguments than the reference's
    0.25  another function or number of calls than the reference's; arguments that do not fit the tool's schema
    0     calls where the reference does not, or the other way round; a call that cannot be read (a sign of one that
          stands in the text is one too), or of a tool that is not declared; the very call, or words, that people are
          against; words in a loop, a marker of the template

What is wrong most counts. Calls are compared as the gate compares them (steps/shared/calls/compare.py), the form is
judged as there too (steps/train/answers/form.py). Limits: without a reference, a call that fits its schema is as good
as another one; what words say is not judged. An answer that its tokens cut off, and an empty one,
have no score: they are no answer to train on, neither as the better nor as the worse one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steps.candidates.answered import Answer
from steps.candidates.prompts import Prompt
from steps.shared.calls.call import Call
from steps.shared.calls.compare import compare
from steps.shared.calls.kinds import expected_calls
from steps.shared.records import Messages, Record
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.answers.form import MARKER, REPETITIVE, Markers, faults

GOOD = 1.0
OF_CALLS = re.compile(r"tool|call|function", re.IGNORECASE)  # of a token's name
Wrong = Literal["form", "unreadable", "undeclared", "decision", "repeated", "schema", "name", "number", "arguments"]
SCORES: dict[Wrong, float] = {
    "form": 0.0, "unreadable": 0.0, "undeclared": 0.0, "decision": 0.0, "repeated": 0.0, "schema": 0.25, "name": 0.25,
    "number": 0.25, "arguments": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Score:
    """
    Attributes:
        wrong: what is wrong most; None where nothing is found.
    """

    value: float
    wrong: Wrong | None = None


@dataclass(frozen=True)
class Signs:
    """What of a template must not stand in the text of an answer.

    Attributes:
        markers: of turns.
        calls: of calls, which the parser takes out of the text where they are whole.
    """

    markers: Markers
    calls: tuple[str, ...] = ()

    @classmethod
    def of(cls, template: ChatTemplate) -> Signs:
        known = (token.content for token in template.tokenizer.added_tokens_decoder.values())
        return cls(Markers([*template.specials, *template.ends], []), tuple(filter(OF_CALLS.search, known)))


def score(answer: Answer, prompt: Prompt, signs: Signs) -> Score | None:
    """None where the answer cannot be trained on: it is cut off, and does not loop, or says nothing."""
    found = faults(answer.content, signs.markers, calls=bool(answer.calls), ended=answer.said.ended)
    formless = REPETITIVE in found or MARKER in found
    if not answer.message["content"].strip() and not answer.calls:
        return None
    if not answer.said.ended and not formless:
        return None
    wrongs = _wrong_calls(answer, prompt, signs.calls)
    if formless:
        wrongs.append("form")
    if _repeats(answer, prompt):
        wrongs.append("repeated")
    worst = min(wrongs, key=lambda wrong: SCORES[wrong], default=None)
    return Score(GOOD) if worst is None else Score(SCORES[worst], worst)


def _wrong_calls(answer: Answer, prompt: Prompt, signs: Sequence[str]) -> list[Wrong]:
    if not prompt.tools or not answer.read:
        return []
    if answer.broken or any(sign in answer.content for sign in signs):
        return ["unreadable"]
    expected = None if prompt.reference is None else calls_of(prompt.reference)
    compared = compare(answer.calls if expected is None else expected, answer.calls, prompt.tools)
    found: list[Wrong] = ["undeclared"] if compared.undeclared else ["schema"] if compared.valid is False else []
    if expected is None or compared.right:
        return found
    differs: Wrong = "decision"
    if bool(expected) == bool(answer.calls):
        differs = "number" if not compared.same_number else "arguments" if compared.names else "name"
    return [*found, differs]


def _repeats(answer: Answer, prompt: Prompt) -> bool:
    """Whether it is an answer that people are against: the same calls, or without calls the same words."""
    for against in prompt.against:
        calls = calls_of(against)
        if calls and answer.calls and compare(calls, answer.calls, prompt.tools).right:
            return True
        if not calls and not answer.calls and _same_words(against[0]["content"], answer.content):
            return True
    return False


def _same_words(one: str, other: str) -> bool:
    return one.split() == other.split()


def calls_of(answer: Messages) -> tuple[Call, ...]:
    """The calls of an answer's first message, as those of a row's chosen answer are read."""
    return expected_calls(Record("", [], answer, [], None, "chat", "", 0))
