"""What is read of a version's evaluation beyond given answers: its figures as it is served, and what it says.

The shapes of `served` and `answers` in evaluation.json and of the lines of answers.jsonl, which older versions do not
have, as far as a comparison reads them; what they mean is said in steps/train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from pipeline.errors import UserError
from steps.shared.statistics.intervals import wilson_interval

ANSWERS = "answers.jsonl"
Kinds = dict[str, dict[str, int]]  # the chosen answer's kind -> the said one's -> rows


class Margin(BaseModel):
    """A held-out row's margin: the difference of both answers' log ratios, in nats, without beta."""

    id: str
    margin: Annotated[float, Field(allow_inf_nan=False)]


class Figures(BaseModel):
    """Figures over some rows; steps/train/evaluation/figures.py names the others; older files have fewer."""

    model_config = ConfigDict(extra="allow")

    rows: Annotated[int, Field(ge=1)]
    reward_accuracy: Annotated[float, Field(ge=0, le=1)]
    slices: dict[str, dict[str, Figures]] = {}

    def get(self, name: str) -> float | None:
        """A figure; None where it is not defined, or the file does not have it."""
        return getattr(self, name, None)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the reward accuracy."""
        return wilson_interval(self.reward_accuracy * self.rows, self.rows)


class Drift(BaseModel):
    """How far the served form is from the trained one."""

    rows: int
    accuracy: float | None
    log_prob_per_token: float | None
    rows_changed: int
    share_changed: float | None


class Served(BaseModel):
    """The evaluation in the form that is served. `same`: it is the trained one, and has no figures of its own."""

    evaluated: bool
    reason: str | None = None
    same: bool = False
    before: Figures | None = None
    after: Figures | None = None
    drift: Drift | None = None
    margins: list[Margin] = []

    @model_validator(mode="after")
    def _whole(self) -> Served:
        if self.evaluated and not self.same and not (self.before and self.after and self.margins):
            raise ValueError("before, after or margins are missing")
        return self


class Share(BaseModel):
    """A share of some rows with its 95 % interval; None where it is of none."""

    share: float | None
    low: float | None = None
    high: float | None = None


class Calls(Share):
    """Function calling: the share of answers that are right, and its parts."""

    rows: int
    decision: Share
    name: Share
    arguments: Share
    valid: Share
    confusion: Kinds


class Form(BaseModel):
    """The form of answers."""

    rows: int
    degenerate: Share
    tokens_mean: float | None


class Spoken(BaseModel):
    """What one side's answers came to. No `calls`: no prompt has tools, or no parser is known."""

    calls: Calls | None
    form: Form


class Said(BaseModel):
    """The section of what was said."""

    judged: bool
    reason: str | None = None
    rows: int = 0
    parser_reason: str | None = None
    before: Spoken | None = None
    after: Spoken | None = None

    @model_validator(mode="after")
    def _whole(self) -> Said:
        if self.judged and not (self.before and self.after):
            raise ValueError("before or after is missing")
        return self


class Answer(BaseModel):
    """One side's answer. `right` is None where calls are not judged."""

    text: str
    tokens: int
    right: bool | None
    wrong: str | None = None
    faults: list[str]

    @property
    def verdict(self) -> str:
        """Whether it is right, what is wrong, and its faults."""
        parts = [] if self.right is None else ["right" if self.right else f"wrong {self.wrong or ''}".strip()]
        return ", ".join([*parts, *self.faults])

    @property
    def good(self) -> bool:
        """Neither wrong nor degenerate."""
        return self.right is not False and not self.faults


class Sides(BaseModel):
    """The answers of a training's model and of its base."""

    base: Answer
    candidate: Answer


class Question(BaseModel):
    """A held-out prompt with the chosen answer and what was said."""

    id: str
    prompt: list[dict[str, Any]]
    chosen: str
    answers: Sides

    @property
    def asked(self) -> str:
        """The last text of the prompt."""
        texts = [message.get("content") for message in self.prompt]
        return next((text for text in reversed(texts) if isinstance(text, str) and text.strip()), "")


def read(content: bytes, uri: str) -> list[Question]:
    """The lines of an answers.jsonl, in their order: the worst first.

    Raises:
        UserError: a line is no answer.
    """
    found, shape = [], TypeAdapter(Question)
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            found.append(shape.validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise UserError(f"{uri}: line {number}: not an answer: {where}: {first['msg']}") from None
    return found


def common(first: Sequence[Question], second: Sequence[Question]) -> list[tuple[Question, Question]]:
    """The questions that both models answered, those on which the second does worst, against the first, first of all.

    First where only the second is bad, then where both are, then where only the first is; each in the second's order.
    """
    known: Mapping[str, Question] = {one.id: one for one in first}
    pairs = [(known[one.id], one) for one in second if one.id in known]
    return sorted(pairs, key=_order)


def _order(pair: tuple[Question, Question]) -> int:
    good = [one.answers.candidate.good for one in pair]
    return [(True, False), (False, False), (False, True), (True, True)].index((good[0], good[1]))
