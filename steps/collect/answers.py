"""What was answered to the same prompt, and what people think of each answer: what pairs are made of.

The same answer to the same prompt, captured several times, is one answer with the opinions on all of these captures.
Of a capture only what finds it again is held, never its texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from steps.collect.captures import Origin, Place
from steps.collect.exchange import answer_digest
from steps.collect.feedback import Opinion
from steps.collect.opinions import Contradictions, latest_of_each, side_of
from steps.collect.states import CaptureState, FeedbackState


@dataclass(slots=True, eq=False)
class Capture:
    """A capture that somebody has an opinion on.

    Attributes:
        time: in UTC, as feedback.utc writes it; empty where it is unknown.
        state: what became of it; None until it is known.
    """

    id: str
    place: Place
    origin: Origin
    model: str | None
    time: str
    opinions: list[Opinion]
    state: CaptureState | None = None


@dataclass(slots=True, eq=False)
class Answer:
    """One answer to one prompt.

    Attributes:
        side: 1 people are for it, -1 against it, 0 neither.
        opinions: those that count; of the side that won.
    """

    calls: bool
    captures: list[Capture] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)
    side: int = 0

    @property
    def weight(self) -> int:
        """How much people are for it, or against it where negative."""
        return sum(opinion.verdict for opinion in self.opinions)

    @property
    def corrections(self) -> list[Opinion]:
        return [opinion for opinion in self.opinions if opinion.correction is not None]

    @property
    def newest(self) -> tuple[str, str]:
        """When something was last said of it, and its first id: an order that does not depend on files."""
        return max(opinion.at for opinion in self.opinions), min(capture.id for capture in self.captures)


class Prompts:
    """The answers to each prompt."""

    def __init__(self) -> None:
        self._answers: dict[bytes, dict[bytes, Answer]] = {}

    def add(self, key: bytes, digest: bytes, calls: bool, capture: Capture) -> None:
        """
        Args:
            key: of the prompt (`Exchange.key`).
            digest: of the answer (`Exchange.answer_digest`), which makes calls or not.
        """
        answer = self._answers.setdefault(key, {}).setdefault(digest, Answer(calls))
        answer.captures.append(capture)

    def judged(self, contradictions: Contradictions) -> list[list[Answer]]:
        """The answers to each prompt that people are for or against; what else was said gets its state."""
        prompts = []
        for answers in self._answers.values():
            kept = [answer for digest, answer in answers.items() if _judge(answer, digest, contradictions)]
            if kept:
                prompts.append(kept)
        return prompts


def _judge(answer: Answer, digest: bytes, contradictions: Contradictions) -> bool:
    """Whether people are for or against an answer."""
    said = [opinion for capture in answer.captures for opinion in capture.opinions]
    for opinion in said:
        if opinion.correction is not None and _is_same(opinion.correction, digest):
            if opinion.verdict > 0:
                opinion.correction = None  # the answer once more, by someone who is for it
            else:
                opinion.state = FeedbackState.UNCHANGED
    counting = latest_of_each([opinion for opinion in said if opinion.state is None])
    side = side_of(counting, contradictions) if counting else 0
    if side is None:
        _set(counting, FeedbackState.CONTRADICTED)
        _set_captures(answer, CaptureState.CONTRADICTORY)
        return False
    _set((opinion for opinion in counting if opinion.verdict * side < 0), FeedbackState.CONTRADICTED)
    without = [opinion for opinion in counting if opinion.verdict == 0 and opinion.correction is None]
    _set(without, FeedbackState.NEUTRAL)
    answer.opinions = [opinion for opinion in counting if opinion.state is None]
    answer.side = side
    if not answer.opinions:
        _set_captures(answer, CaptureState.NEUTRAL)
        return False
    return True


def _is_same(correction: bytes, digest: bytes) -> bool:
    return answer_digest(orjson.loads(correction)) == digest


def _set(opinions: Iterable[Opinion], state: FeedbackState) -> None:
    for opinion in opinions:
        opinion.state = state


def _set_captures(answer: Answer, state: CaptureState) -> None:
    for capture in answer.captures:
        capture.state = state
