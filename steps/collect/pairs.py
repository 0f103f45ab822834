"""The rules by which judged answers become pairs, and which pairs are kept; knows no texts.

    correction, corrected_call   a correction over the answer that it corrects, and the same where a call is in either
    opposite_verdicts            an answer that people are for over one that they are against, to the same prompt

Opposite verdicts: the answers of each side in the order of their weight, the strongest first; the n-th of the longer
side goes with the n-th of the shorter one, which begins again at its end. So every answer is in a pair, and there are
no more pairs than answers, where all combinations would let one prompt outweigh the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steps.collect.answers import Answer
from steps.collect.feedback import Opinion
from steps.collect.states import CaptureState, FeedbackState

Rule = Literal["correction", "corrected_call", "opposite_verdicts"]
RULES: tuple[Rule, ...] = ("correction", "corrected_call", "opposite_verdicts")
CALLS = b'"tool_calls":'  # a key of a message: in what is said, a quotation mark has a backslash before it


@dataclass(frozen=True, eq=False)
class Pair:
    """
    Attributes:
        chosen: the better answer, or those opinions that bring the same correction.
    """

    rule: Rule
    chosen: Answer | tuple[Opinion, ...]
    rejected: Answer

    @property
    def opinions(self) -> list[Opinion]:
        """Those that made it."""
        better = self.chosen.opinions if isinstance(self.chosen, Answer) else list(self.chosen)
        return [*better, *self.rejected.opinions]

    @property
    def order(self) -> tuple[str, str, str]:
        """When it was last spoken for; then what makes the order of pairs the same every time."""
        better = self.chosen.newest[1] if isinstance(self.chosen, Answer) else repr(min(o.place for o in self.chosen))
        return max(opinion.at for opinion in self.opinions), self.rejected.newest[1], better


def pairs_of(answers: Sequence[Answer]) -> list[Pair]:
    """The pairs of one prompt's judged answers."""
    pairs = [pair for answer in answers for pair in _corrections(answer)]
    ups = sorted((a for a in answers if a.side > 0), key=lambda a: (a.weight, a.newest), reverse=True)
    downs = sorted((a for a in answers if a.side < 0), key=lambda a: (-a.weight, a.newest), reverse=True)
    if ups and downs:
        pairs += [
            Pair("opposite_verdicts", ups[number % len(ups)], downs[number % len(downs)])
            for number in range(max(len(ups), len(downs)))
        ]
    return pairs


def _corrections(answer: Answer) -> list[Pair]:
    by_text: dict[bytes, list[Opinion]] = {}
    for opinion in answer.corrections:
        by_text.setdefault(opinion.correction or b"", []).append(opinion)
    return [
        Pair("corrected_call" if answer.calls or CALLS in text else "correction", tuple(opinions), answer)
        for text, opinions in by_text.items()
    ]


def newest(pairs: list[Pair], most: int | None) -> tuple[list[Pair], list[Pair]]:
    """(kept, left out): the newest ones, oldest first among themselves."""
    ordered = sorted(pairs, key=lambda pair: pair.order)
    cut = max(0, len(ordered) - most) if most is not None else 0
    return ordered[cut:], ordered[:cut]


def settle(prompts: Sequence[Sequence[Answer]], kept: Sequence[Pair], left_out: Sequence[Pair]) -> list[Answer]:
    """Give every judged answer's captures and opinions their state; returns the answers that are in no pair."""
    for pairs, capture_state, state in (
        (left_out, CaptureState.OVER_SHARE, FeedbackState.OVER_SHARE),
        (kept, CaptureState.PAIRED, FeedbackState.PAIRED),
    ):
        for pair in pairs:
            for answer in (pair.chosen, pair.rejected):
                if isinstance(answer, Answer):
                    _set(answer, capture_state)
            for opinion in pair.opinions:
                opinion.state = state
    unpaired = []
    for answer in (answer for answers in prompts for answer in answers):
        if answer.captures[0].state is None:
            _set(answer, CaptureState.UNPAIRED)
            unpaired.append(answer)
        for opinion in answer.opinions:
            opinion.state = opinion.state or FeedbackState.UNPAIRED
    return sorted(unpaired, key=lambda answer: answer.newest)


def _set(answer: Answer, state: CaptureState) -> None:
    for capture in answer.captures:
        capture.state = state
