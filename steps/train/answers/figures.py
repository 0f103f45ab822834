"""The figures of what one side said, and of two sides against each other, from judged answers.

A share is given with the counts that it is of and with Wilson's interval at 95 % (steps/shared/statistics); one of
nothing is null, never NaN. Two sides are compared on the same questions by McNemar's exact test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from steps.shared.calls.kinds import KINDS
from steps.shared.statistics.intervals import wilson_interval
from steps.shared.statistics.mcnemar import mcnemar
from steps.train.answers.form import FAULTS
from steps.train.answers.judged import Judged, JudgedQuestion
from steps.train.answers.said import Side

Right = Callable[[Judged], bool | None]


def side_figures(questions: Sequence[JudgedQuestion], side: Side, base_tokens_mean: float | None) -> dict[str, Any]:
    """`calls` and `form` of a side.

    Args:
        base_tokens_mean: of the base's answers, against which lengths are set; None for the base itself.
    """
    return {"calls": _calls(questions, side), "form": _form([one.sides[side] for one in questions], base_tokens_mean)}


def tokens_mean(questions: Sequence[JudgedQuestion], side: Side) -> float | None:
    """Mean tokens of a side's answers, the stop token included; None where there is no answer."""
    return _ratio(sum(one.sides[side].said.tokens for one in questions), len(questions))


def paired(questions: Sequence[JudgedQuestion], first: Side, second: Side) -> dict[str, Any]:
    """The first side against the second: right calls, and answers that are not degenerate."""
    return {
        "calls": _against(questions, first, second, lambda judged: judged.right),
        "form": _against(questions, first, second, lambda judged: not judged.faults),
    }


def share(values: Iterable[bool], count: str = "right") -> dict[str, Any]:
    """How many of some are: `n`, the count under its name, and the share with its interval."""
    listed = list(values)
    n, hits = len(listed), sum(listed)
    low, high = wilson_interval(hits, n) if n else (None, None)
    return {"n": n, count: hits, "share": _ratio(hits, n), "low": low, "high": high}


def _calls(questions: Sequence[JudgedQuestion], side: Side) -> dict[str, Any] | None:
    """Of the rows with tools; None where calls cannot be read, or no row has tools."""
    rows = [(one, one.sides[side]) for one in questions if one.sides[side].comparison]
    if not rows:
        return None
    right = share(judged.right is True for _, judged in rows)
    calling = [judged for one, judged in rows if one.expected == "call"]
    called = [judged for _, judged in rows if judged.calls]
    return {
        "rows": right["n"],
        **{key: right[key] for key in ("right", "share", "low", "high")},
        "decision": share((one.expected == "call") == (judged.kind == "call") for one, judged in rows),
        "name": share(_compared(judged).names for judged in calling),
        "arguments": share(_compared(judged).arguments for judged in calling),
        "valid": share(_compared(judged).valid is True for judged in called if _compared(judged).valid is not None),
        "undeclared": share((bool(_compared(judged).undeclared) for judged in called), "count"),
        "unreadable": share((judged.broken is not None for _, judged in rows), "count"),
        "schemas_unusable": sum(bool(one.schemas_unusable) for one, _ in rows),
        "confusion": _confusion(rows),
    }


def _compared(judged: Judged) -> Any:
    assert judged.comparison is not None  # `_calls` takes only rows that have one
    return judged.comparison


def _confusion(rows: Sequence[tuple[JudgedQuestion, Judged]]) -> dict[str, dict[str, int]]:
    """What the chosen answer does -> what was done instead -> rows; every kind is in both."""
    counts = Counter((one.expected, judged.kind) for one, judged in rows)
    return {expected: {said: counts[expected, said] for said in KINDS} for expected in KINDS}


def _form(said: Sequence[Judged], base_tokens_mean: float | None) -> dict[str, Any]:
    faults = Counter(fault for judged in said for fault in judged.faults)
    degenerate = share((bool(judged.faults) for judged in said), "count")
    mean = _ratio(sum(judged.said.tokens for judged in said), len(said))
    return {
        "rows": degenerate.pop("n"),
        "degenerate": degenerate,
        **{fault: faults[fault] for fault in FAULTS},
        "cut": sum(judged.cut for judged in said),
        "other_script": sum(judged.other_language for judged in said),
        "tokens_mean": mean,
        "length_ratio": _ratio(mean, base_tokens_mean) if mean is not None and base_tokens_mean else None,
    }


def _against(questions: Sequence[JudgedQuestion], first: Side, second: Side, right: Right) -> dict[str, Any] | None:
    """Wins are the questions on which only the first side is right; None where none can be judged."""
    pairs = [(right(one.sides[first]), right(one.sides[second])) for one in questions]
    known = [(mine, other) for mine, other in pairs if mine is not None and other is not None]
    if not known:
        return None
    wins = sum(mine and not other for mine, other in known)
    losses = sum(other and not mine for mine, other in known)
    test = mcnemar(wins, losses)
    return {"rows": len(known), "wins": wins, "losses": losses, "p": test.p, "p_worse": test.p_worse}


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
