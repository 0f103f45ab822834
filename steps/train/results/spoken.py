"""What the report of a training shows of the answers that were written: their figures, and the answers side by side.

Reads the section `answers` of evaluation.json and the rows of answers.jsonl, in their order: the worst come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steps.shared.pages.differences import pieces
from steps.shared.pages.template import pretty, share, some_turns

SHOWN = 30  # questions on the page; the others are in the file
DASH = "\N{EN DASH}"
QUESTION = 120  # characters of a prompt's last message in the line that opens it

# A side in answers.jsonl, its key in evaluation.json, and its name for people, in the order in which they stand.
SIDES = (("base", "before", "Base"), ("candidate", "after", "This model"), ("champion", "champion", "Champion"))
KINDS = ("call", "ask", "decline", "answer")  # of answers to prompts with tools

# A figure of function calling, its name, and what it says.
CALLS = (
    ("decision", "Call or no call", "the answer calls where the chosen one does, and does not where it does not"),
    ("name", "Names", "the chosen answer's tools are called, as often; of rows whose chosen answer calls"),
    ("arguments", "Arguments", "and with its arguments, as typed values; of rows whose chosen answer calls"),
    ("valid", "Valid", "answers that call whose calls fit the declared schema"),
    ("undeclared", "Undeclared tool", "answers that call a tool which the row does not declare"),
    ("unreadable", "Unreadable", "answers in which a call begins that the endpoint's parser cannot read"),
)
# A fault or a figure of form, its name, and what it says.
FORM = (
    ("empty", "Empty", "answers without text"),
    ("unfinished", "Unfinished", "no stop token within the tokens allowed, which the chosen answer does not exceed"),
    ("repetitive", "Repetitive", "the same run of words over and over"),
    ("marker", "Template marker", "a marker of the chat template inside the answer"),
    ("cut", "Cut short", "no stop token, in its reasoning or where the chosen answer is as long; no fault by itself"),
    ("other_script", "Other script", "another script or language than the chosen answer; no fault by itself"),
)


def view(section: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the template needs of a section that was judged, and of the answers themselves."""
    sides = [(name, key, title) for name, key, title in SIDES if section.get(key)]
    found = [section[key] for _, key, _ in sides]
    return {
        "titles": [title for *_, title in sides],
        "calls": _calls([side["calls"] for side in found]),
        "form": _form([side["form"] for side in found]),
        "confusion": [
            _confusion(title, section[key]["calls"]["confusion"]) for _, key, title in sides if section[key]["calls"]
        ],
        "paired": list(_paired(section)),
        "questions": [_question(row, sides) for row in rows[:SHOWN]],
        "rows": len(rows),
    }


def _calls(sides: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """Lines of the table of calls; none where no side has any."""
    if not any(sides):
        return []
    right = [side and _cell(side["right"], side["rows"], side) for side in sides]
    lines = [{"label": "Right", "cells": right, "said": "the chosen answer's calls, or none where it has none"}]
    for key, label, said in CALLS:
        parts = [side and side[key] for side in sides]
        cells = [part and _cell(part.get("right", part.get("count")), part["n"], part) for part in parts]
        lines.append({"label": label, "cells": cells, "said": said})
    return lines


def _form(sides: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    degenerate = [_cell(side["degenerate"]["count"], side["rows"], side["degenerate"]) for side in sides]
    lines = [{"label": "Degenerate", "cells": degenerate, "said": "at least one of the next four"}]
    for key, label, said in FORM:
        cells = [_cell(side[key], side["rows"], {}) for side in sides]
        lines.append({"label": label, "cells": cells, "said": said})
    tokens = [{"figure": _one(side["tokens_mean"], "%.1f"), "of": "", "interval": ""} for side in sides]
    ratios = [{"figure": _one(side["length_ratio"], "%.2f"), "of": "", "interval": ""} for side in sides]
    lines.append({"label": "Tokens", "cells": tokens, "said": "mean of an answer, the one that ends it included"})
    lines.append({"label": "Length", "cells": ratios, "said": "the mean divided by the base's"})
    return lines


def _one(value: float | None, form: str) -> str:
    return DASH if value is None else form % value


def _cell(count: int, of: int, part: Mapping[str, Any]) -> dict[str, str]:
    """A share with its counts, and its interval where it has one."""
    if not of:
        return {"figure": DASH, "of": "none", "interval": ""}
    interval = f"{share(part['low'])} {DASH} {share(part['high'])}" if part.get("low") is not None else ""
    return {"figure": share(count, of), "of": f"{count:,} of {of:,}", "interval": interval}


def _confusion(title: str, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """A table of chosen kinds by said kinds, with how warm each field is within its line, in per cent."""
    lines = []
    for kind in KINDS:
        line = counts.get(kind, {})
        if total := sum(line.values()):
            fields = [(said == kind, line.get(said, 0), round(100 * line.get(said, 0) / total)) for said in KINDS]
            lines.append({"kind": kind, "total": total, "fields": fields})
    return {"title": title, "lines": lines}


def _paired(section: Mapping[str, Any]) -> list[str]:
    """What the same questions say of two sides, in sentences."""
    found = []
    for key, other in (("against_base", "the base"), ("against_champion", "the champion")):
        for part, what in (("calls", "right calls"), ("form", "answers that are not degenerate")):
            counts = (section.get(key) or {}).get(part)
            if counts:
                found.append(
                    f"Against {other}, {what}: of {counts['rows']:,} questions only this model on {counts['wins']:,}, "
                    f"only {other} on {counts['losses']:,} (exact McNemar test, p = {counts['p']:.2g})."
                )
    return found


def _question(row: Mapping[str, Any], sides: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    chosen = pretty(row["chosen"])
    texts = {name: pretty(said["text"]) for name, said in row["answers"].items()}
    answers = [
        {
            "name": name,
            "title": title,
            "pieces": pieces(texts[name], chosen),
            "labels": labels(row["answers"][name]),
            "tokens": row["answers"][name]["tokens"],
        }
        for name, _, title in sorted(sides, key=lambda side: side[0] != "candidate")  # next to the chosen one
        if name in texts
    ]
    prompt = [_cut(message) for message in row["prompt"]]
    return {
        "asked": asked(row["prompt"]),
        "turns": some_turns(prompt),
        "tools": [tool.get("function", tool) for tool in row["tools"] or []],
        "expected": row["expected"],
        "chosen": pieces(chosen, texts["candidate"]),
        "labels": labels(row["answers"]["candidate"]),
        "answers": answers,
    }


def labels(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Verdict and faults of an answer: how a label is coloured, and what it says."""
    found = []
    if said["right"] is not None:
        wrong = f"wrong: {said['wrong']}" if said["wrong"] else "wrong"
        found.append(("good", "right") if said["right"] else ("bad", wrong))
    return found + [("warn", fault) for fault in said["faults"]]


def asked(prompt: Sequence[Mapping[str, Any]]) -> str:
    """The beginning of the last text that a user wrote, else of the last one that there is."""
    texts = [message for message in prompt if isinstance(message.get("content"), str) and message["content"].strip()]
    users = [message for message in texts if message.get("role") == "user"] or texts
    text = " ".join(users[-1]["content"].split()) if users else ""
    return text if len(text) <= QUESTION else f"{text[:QUESTION]}…"


def _cut(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with a very long text cut."""
    return {**message, "content": pretty(message["content"])} if message.get("content") else dict(message)
