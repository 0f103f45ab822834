"""What trackers are told of a training's end: the figures of its evaluation by their names, and a table of its answers.

Names: final/before/loss, final/served_after/reward_accuracy, final/served_drift/rows_changed,
final/answers_after/calls_right, final/answers_against_base/calls_wins; shares are 0 to 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ANSWERS = "answers.json"  # the table's name
FILES = ("evaluation.json", "history.json", "report.html")  # of the output folder, which are told as they are
DATA_PAGE = "data/report.html"  # Preprocess's page, under this name
CALLS = ("decision", "name", "arguments", "valid", "undeclared", "unreadable")
FORM = ("empty", "unfinished", "repetitive", "marker", "cut", "other_script", "tokens_mean", "length_ratio")
SIDES = ("base", "candidate", "champion")
FACTS = ("kind", "right", "wrong", "faults", "tokens")  # of each side's answer, after its text


def figures(evaluation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Groups of figures by name: of the trained form, the served one and the answers, as far as there are any."""
    for when in ("before", "after"):
        yield {f"final/{when}/{name}": value for name, value in evaluation[when].items()}
    served, said = evaluation.get("served"), evaluation.get("answers")
    if served and served["evaluated"] and not served["same"]:
        parts = ("before", "after", "drift")
        yield {f"final/served_{part}/{name}": value for part in parts for name, value in served[part].items()}
    if said and said["judged"]:
        yield dict(_of_answers(said))


def _of_answers(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("asked", "rows", "tokens", "seconds"):
        yield f"final/answers/{name}", said[name]
    for part in ("before", "after", "champion"):
        if side := said[part]:
            for name, value in _of_side(side):
                yield f"final/answers_{part}/{name}", value
    for other in ("against_base", "against_champion"):
        for part, tested in (said[other] or {}).items():
            for name, value in (tested or {}).items():
                yield f"final/answers_{other}/{part}_{name}", value


def _of_side(side: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if calls := side["calls"]:
        yield "calls_rows", calls["rows"]
        yield "calls_right", calls["share"]
        for name in CALLS:
            yield f"calls_{name}", calls[name]["share"]
    yield "degenerate", side["form"]["degenerate"]["share"]
    for name in FORM:
        yield name, side["form"][name]


def table(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The rows of answers.jsonl as a table: `columns`, and in `data` a line a question, the worst first.

    Every cell is a text, or None where there is nothing to say: W&B wants one type a column.
    """
    sides = [side for side in SIDES if side in rows[0]["answers"]]
    columns = ["id", "prompt", "tools", "expected", "chosen"]
    columns += [name for side in sides for name in (side, *(f"{side}_{fact}" for fact in FACTS))]
    return {"columns": columns, "data": [_line(row, sides) for row in rows]}


def _line(row: Mapping[str, Any], sides: Sequence[str]) -> list[str | None]:
    tools = [tool.get("function", tool).get("name") for tool in row["tools"] or []]
    line = [row["id"], json.dumps(row["prompt"], ensure_ascii=False), ", ".join(map(str, tools)) or None,
            row["expected"], row["chosen"]]  # fmt: skip
    for side in sides:
        said = row["answers"][side]
        right = None if said["right"] is None else "yes" if said["right"] else "no"
        faults = ", ".join(said["faults"]) or None
        line += [said["text"], said["kind"], right, said["wrong"], faults, str(said["tokens"])]
    return line
