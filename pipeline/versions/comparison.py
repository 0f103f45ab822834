"""Two versions beside each other: what differs in how they were made, and whether one is better on the same rows.

Both are compared in the form that is served where both were evaluated in it, otherwise in the form that was trained.
Limits: pairs rows by their id alone; accuracies over different rows are shown, and never tested against each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.versions.evaluated import Side
from pipeline.versions.judged import Answer, Question, Said, Served, common
from steps.shared.statistics.mcnemar import mcnemar

CHANNELS = "/input/data/"  # below /opt/ml
FACTS = ("base_model", "data_hash", "code_version", "variant", "execution_arn")
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Paired:
    """Both versions on the rows that both were evaluated on.

    Attributes:
        first_only, second_only: rows that only the one gets right, or ties where the other is wrong: a tie is half
            a right one, so these are the rows on which one scores higher.
        p_value: two-sided, of McNemar's exact test: had both the same chance to be the one that is right, how often
            would the split of these rows be as uneven as this or more.
        median_gain: median over the rows of the second margin minus the first, in nats.
    """

    rows: int
    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float
    median_gain: float


@dataclass(frozen=True)
class Tested:
    """What both versions answered to the same prompts.

    Attributes:
        first_only, second_only: prompts that only the one answered well.
        p_value: as of `Paired`.
    """

    rows: int
    first_only: int
    second_only: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Both sides, and what was found between them.

    Attributes:
        form: in which both are compared, and of which the sides' figures and margins are.
        questions: that both answered, those on which the second one got worse first of all.
        calls, form_of_answers: both on these: right calls, and answers that are not degenerate; None where not judged.
        facts: of the versions, those that differ.
        arguments: of the trainings, those that differ; None where one side's are not known.
        paired: None where no row is in both evaluations.
    """

    first: Side
    second: Side
    form: Literal["served", "trained"]
    questions: Sequence[tuple[Question, Question]]
    calls: Tested | None
    form_of_answers: Tested | None
    facts: dict[str, tuple[Any, Any]]
    arguments: dict[str, tuple[Any, Any]] | None
    paired: Paired | None
    notes: list[str]

    @property
    def same_rows(self) -> bool:
        return self.first.margins.keys() == self.second.margins.keys()


def compare(first: Side, second: Side) -> Comparison:
    """Both sides held against each other."""
    one, other = first.as_served(), second.as_served()
    form: Literal["served", "trained"] = "trained"
    if one and other:
        form, first, second = "served", one, other
    questions = common(first.questions, second.questions)
    facts = differing(first.version.metadata, second.version.metadata)
    known = first.arguments is not None and second.arguments is not None
    return Comparison(
        first,
        second,
        form,
        questions,
        _tested(questions, lambda answer: answer.right),
        _tested(questions, lambda answer: not answer.faults),
        {name: facts[name] for name in FACTS if name in facts},
        _arguments(first.arguments or {}, second.arguments or {}) if known else None,
        paired(first.margins, second.margins),
        [*_notes(first, second), *_of_forms(first, second, form), *_of_answers(first, second, questions)],
    )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, with both values; None where a side lacks the key."""
    keys = sorted(first.keys() | second.keys())
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def _arguments(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The training arguments that differ; a channel is the same one wherever a job's tree lies on this machine."""
    return {key: values for key, values in differing(first, second).items() if len({*map(_channel, values)}) > 1}


def _channel(value: Any) -> str:
    return json.dumps(value).rpartition(CHANNELS)[2]


def paired(first: Mapping[str, float], second: Mapping[str, float]) -> Paired | None:
    """The rows that both have, by their margins."""
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    scores = [(_score(first[id]), _score(second[id])) for id in common]
    first_only = sum(one > other for one, other in scores)
    second_only = sum(one < other for one, other in scores)
    both = sum(one == other == 1 for one, other in scores)
    gains = sorted(second[id] - first[id] for id in common)
    middle = len(gains) // 2
    return Paired(
        rows=len(common),
        both=both,
        first_only=first_only,
        second_only=second_only,
        neither=len(common) - both - first_only - second_only,
        p_value=mcnemar(first_only, second_only).p,
        median_gain=(gains[middle] + gains[-1 - middle]) / 2,
    )


def _score(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def _tested(questions: Sequence[tuple[Question, Question]], good: Callable[[Answer], bool | None]) -> Tested | None:
    """Both models on the prompts whose answers could be judged on both sides; None where there is none."""
    judged = [tuple(good(one.answers.candidate) for one in pair) for pair in questions]
    known = [(bool(one), bool(other)) for one, other in judged if one is not None and other is not None]
    if not known:
        return None
    first_only, second_only = sum(one > other for one, other in known), sum(one < other for one, other in known)
    return Tested(len(known), first_only, second_only, mcnemar(first_only, second_only).p)


def _notes(first: Side, second: Side) -> list[str]:
    """What a reader must know before reading one figure against the other."""
    one, other = first.margins.keys(), second.margins.keys()
    common = len(one & other)
    notes = []
    if first.training and first.training == second.training:
        notes.append("Both come from the same training run: the figures are the same by nature.")
    if one == other:
        notes.append(f"The held-out rows are the same {common}.")
    elif common:
        notes.append(
            f"The held-out rows differ: {common} are in both evaluations, of {len(one)} and {len(other)}. "
            "Each column is over its own rows; only the paired comparison is over the same."
        )
    else:
        notes.append(
            f"The held-out rows differ: none of the {len(one)} and {len(other)} is in both, "
            "so a difference may be that of the rows."
        )
    if first.evaluation.beta != second.evaluation.beta:
        notes.append(
            f"beta differs ({first.evaluation.beta:g} and {second.evaluation.beta:g}): loss and reward margin are each "
            "on its own scale."
        )
    if first.version.metadata.get("base_model") != second.version.metadata.get("base_model"):
        notes.append("The base models differ: margins and drift are each against its own.")
    return notes


def _of_forms(first: Side, second: Side, form: str) -> list[str]:
    """In which form both are compared, where one of them was evaluated as it is served."""
    if form == "served":
        return ["Both are compared in the form that is served."]
    sides = [side for side in (first, second) if side.as_served() is None]
    if len(sides) == 2 and not any(side.evaluation.served for side in sides):
        return []
    why = [f"version {side.version.version} ({_why(side.evaluation.served)})" for side in sides]
    return [f"Both are compared in the form that was trained: not evaluated as it is served is {' and '.join(why)}."]


def _of_answers(first: Side, second: Side, questions: Sequence[tuple[Question, Question]]) -> list[str]:
    """Why there is nothing, or little, to say of what the versions write, where one of them was asked."""
    if questions or not (first.evaluation.answers or second.evaluation.answers):
        return []
    silent = [side for side in (first, second) if not side.questions]
    if not silent:
        return ["What they say cannot be compared: no prompt was answered by both."]
    why = [f"version {side.version.version} has no answers ({_why(side.evaluation.answers)})" for side in silent]
    return [f"What they say cannot be compared: {' and '.join(why)}."]


def _why(section: Served | Said | None) -> str:
    if section is None:
        return "an older version"
    return section.reason or "its file is gone"


def verdict(comparison: Comparison) -> str:
    """What the paired rows allow to say, in one sentence."""
    if comparison.paired is None:
        return "Nothing can be paired: no row is in both evaluations."
    return _verdict(comparison, comparison.paired, "rows", "right")


def verdicts_on_answers(comparison: Comparison) -> list[str]:
    """The same of what both wrote, a sentence each for calls and form."""
    found = [("Calls", comparison.calls, "right"), ("Form", comparison.form_of_answers, "not degenerate")]
    return [f"{what}: {_verdict(comparison, tested, 'prompts', good)}" for what, tested, good in found if tested]


def _verdict(comparison: Comparison, found: Paired | Tested, rows: str, good: str) -> str:
    one, other = comparison.first.version.version, comparison.second.version.version
    counts = f"of {found.rows} {rows} only version {one} is {good} on {found.first_only}, only version {other} on "
    counts += f"{found.second_only}; exact McNemar test, p = {found.p_value:.2g}"
    if found.p_value >= SIGNIFICANT:
        return f"No difference can be told ({counts})."
    better = other if found.second_only > found.first_only else one
    return f"Version {better} is better ({counts})."
