"""What a training writes of its model as it is served and of its answers, without a training.

The sections `served` and `answers` of evaluation.json and the rows of answers.jsonl, figures counted from the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from steps.shared.statistics.intervals import wilson_interval
from steps.shared.statistics.mcnemar import mcnemar
from steps.train.evaluation.figures import RowMargin, summarise
from tests.steps.preprocess.reports import EVIL

KINDS = ("call", "ask", "decline", "answer")
DEGENERATE = ("empty", "unfinished", "repetitive", "marker")
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def call(city: str, day: str) -> str:
    return f'<tool_call>\n{{"name": "weather", "arguments": {{"city": "{city}", "day": "{day}"}}}}\n</tool_call>'


def row(number: int, text: str = "Will it rain in Lima?", champion: bool = True) -> dict[str, Any]:
    """One question: two of three declare a tool; of every twelve, the candidate is wrong or degenerate on four."""
    tools, calls = number % 3 != 2, number % 3 == 0
    chosen = call("Lima", "Friday") if calls else "For which day?" if tools else "Take an umbrella."
    expected = ("call" if calls else "ask") if tools else "text"
    wrong_day = {"text": call("Lima", "Monday"), "kind": "call", "right": False, "wrong": "arguments"}
    right = {"text": chosen, "kind": expected, "right": True if tools else None}
    candidate = [right, right, right, wrong_day if calls else right][number // 3 % 4]
    faults = ["unfinished", "repetitive"] if number % 12 == 8 else []
    sides = {
        "base": said("It rains. " * 20, right=False if tools else None, wrong="decision" if calls else None,
                     kind="answer" if tools else "text", faults=["repetitive"] if number % 2 else []),
        "candidate": said(**{**candidate, "faults": faults}),
    }  # fmt: skip
    if champion:
        sides["champion"] = said(**(wrong_day if calls else right))
    return {
        "id": f"row-{number}",
        "prompt": [{"role": "user", "content": f"{text} ({number})"}],
        "tools": [WEATHER] if tools else None,
        "chosen": chosen,
        "expected": expected,
        "answers": sides,
    }


def said(
    text: str,
    right: bool | None,
    kind: str,
    wrong: str | None = None,
    faults: Sequence[str] = (),
) -> dict[str, Any]:
    calls = [{"name": "weather", "arguments": {"city": "Lima"}}] if kind == "call" else []
    return {
        "text": text,
        "tokens": len(text.split()),
        "ended": "unfinished" not in faults,
        "kind": kind,
        "calls": calls,
        "right": right,
        "wrong": wrong,
        "faults": list(faults),
    }


def rows(count: int = 12, *, champion: bool = True, hostile: bool = False) -> list[dict[str, Any]]:
    """Rows of answers.jsonl, the worst first."""
    found = [row(number, EVIL if hostile else "Will it rain in Lima?", champion) for number in range(count)]
    if hostile:
        for one in found:
            one["tools"] = one["tools"] and [{"type": "function", "function": {"name": EVIL, "description": EVIL}}]
            one["chosen"] = f"{EVIL} {one['chosen']}"
            for side in one["answers"].values():
                side["text"] = f"{side['text']} {EVIL}"
    return sorted(found, key=lambda one: not _bad(one["answers"]["candidate"]))


def _bad(answer: Mapping[str, Any]) -> bool:
    return answer["right"] is False or bool(answer["faults"])


def answers(of: Sequence[Mapping[str, Any]], **given: Any) -> dict[str, Any]:
    """The section `answers` of evaluation.json for these rows; `given` are other values of it."""
    champion = "champion" in of[0]["answers"]
    return {
        "judged": True,
        "reason": None,
        "form": "served",
        "asked": len(of),
        "rows": len(of),
        "not_asked": {},
        "out_of_time": False,
        "no_champion": None,
        "max_new_tokens": 256,
        "seconds": 1.5,
        "tokens": sum(one["tokens"] for row in of for one in row["answers"].values()),
        "parser": "hermes",
        "parser_reason": None,
        "before": side(of, "base"),
        "after": side(of, "candidate"),
        "champion": side(of, "champion") if champion else None,
        "against_base": paired(of, "base"),
        "against_champion": paired(of, "champion") if champion else None,
        **given,
    }


def side(of: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    found = [row["answers"][name] for row in of]
    base = [row["answers"]["base"]["tokens"] for row in of]
    mean = sum(one["tokens"] for one in found) / len(found)
    faults = Counter(fault for one in found for fault in one["faults"])
    return {
        "calls": _calls(of, name) if any(row["tools"] for row in of) else None,
        "form": {
            "rows": len(found),
            "degenerate": _share(sum(bool(one["faults"]) for one in found), len(found), "count"),
            **{fault: faults[fault] for fault in DEGENERATE},
            "cut": 0,
            "other_script": 0,
            "tokens_mean": mean,
            "length_ratio": None if name == "base" else mean * len(base) / sum(base),
        },
    }


def _calls(of: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    asked = [(row["expected"], row["answers"][name]) for row in of if row["tools"]]
    expected = [one for kind, one in asked if kind == "call"]
    calling = sum(one["kind"] == "call" for _, one in asked)
    right = sum(bool(one["right"]) for _, one in asked)
    table = {kind: dict.fromkeys(KINDS, 0) for kind in KINDS}
    for kind, one in asked:
        table[kind][one["kind"]] += 1
    whole = _share(right, len(asked), "right")
    return {
        "rows": whole.pop("n"),
        **whole,
        "decision": _share(sum((kind == "call") == (one["kind"] == "call") for kind, one in asked), len(asked)),
        "name": _share(sum(one["kind"] == "call" for one in expected), len(expected)),
        "arguments": _share(sum(bool(one["right"]) for one in expected), len(expected)),
        "valid": _share(calling, calling),
        "undeclared": _share(0, calling, "count"),
        "unreadable": _share(0, len(asked), "count"),
        "schemas_unusable": 0,
        "confusion": table,
    }


def _share(right: int, n: int, name: str = "right") -> dict[str, Any]:
    low, high = wilson_interval(right, n) if n else (None, None)
    return {"n": n, name: right, "share": right / n if n else None, "low": low, "high": high}


def paired(of: Sequence[Mapping[str, Any]], other: str) -> dict[str, Any]:
    sides = [(row["answers"]["candidate"], row["answers"][other]) for row in of]
    judged = [(one["right"], rival["right"]) for one, rival in sides if one["right"] is not None]
    form = [(not one["faults"], not rival["faults"]) for one, rival in sides]
    return {"calls": _test(judged) if judged else None, "form": _test(form)}


def _test(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    wins, losses = sum(one > other for one, other in pairs), sum(one < other for one, other in pairs)
    found = mcnemar(wins, losses)
    return {"rows": len(pairs), "wins": wins, "losses": losses, "p": found.p, "p_worse": found.p_worse}


def served(evaluation: Mapping[str, Any], changed: int = 2) -> dict[str, Any]:
    """The section `served` of an evaluation: so many of the rows that were right are wrong in that form."""
    beta, turned, margins = evaluation["beta"], changed, []
    for one in evaluation["margins"]:
        turn = turned > 0 and one["margin"] > 0
        turned -= turn
        facts = (one["chosen_tokens"], one["rejected_tokens"], one["format"], one["with_tools"])
        margins.append(RowMargin(one["id"], 0.0, 0.1 if turn else -one["margin"], 0.0, 0.0, *facts))
    after = summarise(margins, beta)
    before = summarise([replace(one, rejected=0.0) for one in margins], beta)
    return {
        "evaluated": True,
        "reason": None,
        "same": False,
        "form": "the base in bfloat16 with the adapter",
        "before": before.as_dict(),
        "after": after.as_dict(),
        "margins": [one.as_dict() for one in margins],
        "drift": {
            "rows": len(margins),
            "accuracy": after.reward_accuracy - evaluation["after"]["reward_accuracy"],
            "log_prob_per_token": 0.0123,
            "rows_changed": changed,
            "share_changed": changed / len(margins),
        },
        "seconds": 0.5,
    }


NOT_SERVED = {"evaluated": False, "reason": "evaluate_served: false"}
NOT_JUDGED = {"judged": False, "reason": "evaluate_answers: 0"}
