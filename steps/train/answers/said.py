"""Held-out prompts and what was answered to them: what generation hands on to judgement. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from steps.shared.records import Record

Side = Literal["base", "candidate", "champion"]  # the base without an adapter, the trained model, the champion
Form = Literal["served", "trained"]  # on the unquantised base, or on the base as it was trained on (NF4)


@dataclass(frozen=True)
class Question:
    """A held-out row whose prompt is answered.

    Attributes:
        prompt: the text that the model sees, up to where the answer begins; `prompt_ids` are its tokens.
        chosen: the row's chosen answer as the template writes it: what the model itself would write until inference
            stops, without the stop token. Where a tool's result and more turns follow, the first turn alone.
        chosen_tokens: that the model would have to write for it, the one that ends it included.
    """

    record: Record
    prompt: str
    prompt_ids: tuple[int, ...]
    chosen: str
    chosen_tokens: int


@dataclass(frozen=True)
class Said:
    """One answer.

    Attributes:
        text: with the special tokens that stand in it, such as those of tool calls, without the one that ends it.
        tokens: how many the model wrote, the one that ends it included.
        ended: a token at which inference stops came before `answers_max_new_tokens`.
    """

    text: str
    tokens: int
    ended: bool


@dataclass(frozen=True)
class Answers:
    """What every side said to the same questions.

    Attributes:
        questions: those that all sides answered within the time.
        said: side -> its answers, in the order of the questions; no champion, no key.
        asked: how many questions were chosen.
        not_asked: reason -> rows that have no prompt to answer, such as template_no_generation.
        no_champion: why there is none in `said` although there is a champion; None where there is none, or it answered.
        form: the form in which the sides answered.
        out_of_time: the time was over before all were answered.
        seconds: of the generation in all; `tokens`: that were written in it, on all sides.
    """

    questions: tuple[Question, ...]
    said: Mapping[Side, tuple[Said, ...]]
    asked: int
    not_asked: Mapping[str, int]
    no_champion: str | None
    form: Form
    out_of_time: bool
    seconds: float
    tokens: int
