"""Reports as Preprocess writes them, without a run: what the tests of drift and of the page are fed with."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from steps.preprocess.report.distribution import distribution, recommended_max_length
from steps.preprocess.report.drift import compare

PARTS = ("prompt", "chosen", "rejected")
EVIL = (
    "</pre></title></style><script>document.title = 'run'</script><script src=http://evil.test/a.js></script>"
    "<img src=http://evil.test/a.png onerror=\"document.title = 'run'\"><link rel=stylesheet href=http://evil.test/a.css>"
    "\u202egnol\u202c \u2067rtl \x00\x1b[31m\x7f\x85\u200b\ufeff{{ 7 * 7 }}{% raw %}'\"`&amp;"
)
"""Markup, scripts, template code, and characters that hide, or turn a line round."""


def counted(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.unique(np.asarray(lengths, np.int64), return_counts=True)


def lengths(rows: int, scale: float = 1, seed: int = 1) -> dict[str, np.ndarray]:
    """Lengths of rows as they are in data of people: many short ones, and a tail."""
    random = np.random.default_rng(seed)
    parts = {
        part: (scale * random.lognormal(mean, spread, rows)).astype(np.int64) + 1
        for part, mean, spread in (("prompt", 5.5, 1.1), ("chosen", 6.0, 0.7), ("rejected", 5.9, 0.8))
    }
    return {**parts, "pair": parts["prompt"] + np.maximum(parts["chosen"], parts["rejected"])}


def of_lengths(found: dict[str, np.ndarray]) -> dict[str, Any]:
    return {part: distribution(*counted(values)) for part, values in found.items()}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": f"What {name} does.", "parameters": schema}}


def sample(**changes: Any) -> dict[str, Any]:
    row = {
        "file": "chats/2026-01.jsonl",
        "line": 12,
        "prompt": [
            {"role": "system", "content": "You book trips. Ask when you are not sure."},
            {"role": "user", "content": "Is it going to rain in Lyon tomorrow?"},
        ],
        "chosen": [{"role": "assistant", "content": "", "tool_calls": [call("weather", city="Lyon", days=1)]}],
        "rejected": [{"role": "assistant", "content": "No, tomorrow will be sunny in Lyon."}],
        "tools": [tool("weather"), tool("trains")],
    }
    return {**row, **changes}


def report(read: int = 12_840, seed: int = 1, **changes: Any) -> dict[str, Any]:
    """The report of a sound run with everything in it."""
    duplicate, quarantined = read // 40, read // 50
    validation = (read - duplicate - quarantined) // 10
    train = read - duplicate - quarantined - validation
    reasons = {"tool_call_invalid": quarantined // 2, "empty_response": quarantined // 4}
    reasons["leaked"] = quarantined - sum(reasons.values())
    found = lengths(min(train + validation, 20_000), 3.6, seed)
    tokens = {part: values // 4 + 3 for part, values in found.items()}
    value = {
        "rows": {"read": read, "train": train, "validation": validation, "duplicate": duplicate,
                 "quarantined": quarantined},
        "reasons": reasons,
        "examples": {
            code: [
                {"file": "chats/2026-01.jsonl", "line": 41 + n, "message": f"{code}: what is wrong with the row",
                 "raw": '{"prompt": "Is it going to rain?", "chosen": "", "rejected": "No."}'} for n in range(3)
            ]
            for code in reasons
        },
        "formats": {"openai": read - quarantined - read // 10, "plain": read // 10},
        "files": {"chats/2026-01.jsonl": read // 3, "chats/2026-02.jsonl.gz": read - read // 3},
        "ignored_files": ["chats/README.md", "chats/schema.sql"],
        "samples": {"openai": sample(), "plain": sample(tools=None, chosen=sample()["rejected"], line=9_000)},
        "chosen_calls": {},
        "reasoning": {"chosen": 0, "rejected": 0},
        "texts": {"calls as text": 0, "calls read from text": 3},
        "lists": {"rows": 0, "pairs": 0, "ties": 0},
        "unread": {"chats/2026-01.jsonl": {"category": {"rows": read // 3, "example": '"weather"'}}},
        "rejected_calls": {"undeclared": read // 300, "arguments": read // 800},
        "scores": {"rows": read // 2, "tied": read // 50, "inverted": read // 400},
        "lengths": {"characters": of_lengths(found), "tokens": of_lengths(tokens)},
        "recommended_max_length": recommended_max_length(*counted(tokens["pair"]), "tokens"),
        "tools": {
            "rows": (train + validation) // 2,
            "called": {"weather": read // 5, "trains": read // 9, "book_a_table_for_so_many_people": read // 30},
            "balance": balance((train + validation) // 2),
        },
        "data_hash": f"{seed:x}" * 64,
        "baseline": None,
        "validation_fraction": 0.1,
        "validation_data": None,
        "min_validation_rows": 30,
        "max_invalid_fraction": 0.1,
        "format": None,
        "columns": {"prompt": "question"},
        "ignore_fields": [],
        "pairs": "best_worst",
        "min_score_difference": 0,
        "max_pairs": None,
        "tool_calls": "quarantine",
        "near_duplicates": None,
        "tokenizer": "qwen3-8b",
        "max_tokens": None,
        "max_characters": None,
    }  # fmt: skip
    return {**copy.deepcopy(value), **changes}


def balance(rows: int) -> dict[str, int]:
    cells = [rows // 8, rows // 3, rows // 4]
    names = ("call_rejected_call", "call_rejected_text", "text_rejected_call", "text_rejected_text")
    return {f"chosen_{name}": count for name, count in zip(names, [*cells, rows - sum(cells)], strict=True)}


def without_lengths() -> dict[str, Any]:
    """What a report says of lengths and tools where no row stays."""
    empty = np.zeros(0, np.int64)
    nothing = {part: distribution(empty, empty) for part in (*PARTS, "pair")}
    none = {"rows": 0, "called": {}, "balance": balance(0)}
    return {"lengths": {"characters": nothing, "tokens": None}, "recommended_max_length": None, "tools": none}


def one_row() -> dict[str, Any]:
    rows = {"read": 1, "train": 1, "validation": 0, "duplicate": 0, "quarantined": 0}
    found = lengths(1)
    return report(
        rows=rows, reasons={}, examples={}, formats={"plain": 1}, files={"one.json": 1}, ignored_files=[],
        samples={"plain": sample(tools=None)}, rejected_calls={}, scores={"rows": 0, "tied": 0, "inverted": 0},
        **{**without_lengths(), "lengths": {"characters": of_lengths(found), "tokens": None}},
        validation_data="mine.jsonl", validation_fraction=None, tokenizer=None, columns={},
    )  # fmt: skip


def failed() -> dict[str, Any]:
    """Every row is broken."""
    rows = {"read": 40, "train": 0, "validation": 0, "duplicate": 0, "quarantined": 40}
    example = {"file": "broken.jsonl", "line": 1, "message": "not JSON at byte 17", "raw": '{"prompt" "hi"}'}
    return report(
        rows=rows, reasons={"not_json": 40}, examples={"not_json": [example]}, formats={}, samples={},
        files={"broken.jsonl": 40}, rejected_calls={}, scores={"rows": 0, "tied": 0, "inverted": 0},
        **without_lengths(), tokenizer=None, data_hash="",
    )  # fmt: skip


def hostile() -> dict[str, Any]:
    """Every text that comes from people's files is an attack, or as long as it can be."""
    turns = [{"role": role, "content": EVIL + "W" * 1900} for role in ("user", "assistant") * 20] + [
        {"role": "user", "content": EVIL, "name": EVIL, "reasoning_content": EVIL * 100}
    ]
    answer = [{"role": "assistant", "content": EVIL, "tool_calls": [call(EVIL, **{EVIL: EVIL})]},
              {"role": "tool", "content": EVIL, "name": EVIL}]  # fmt: skip
    row = sample(file=EVIL, prompt=turns, chosen=answer, rejected=answer, tools=[tool(EVIL)] * 30)
    value = report()
    value["examples"] = {
        code: [{**example, "file": EVIL, "message": EVIL, "raw": EVIL * 3} for example in examples]
        for code, examples in value["examples"].items()
    }
    value["reasons"] = {**value["reasons"], EVIL: 3}
    value["files"] = {EVIL + "\ud800\n" * n: n for n in range(60)}
    value["formats"] = {EVIL: 12}
    value["samples"] = {EVIL: row}
    value["unread"] = {EVIL: {EVIL * (n + 1): {"rows": n, "example": EVIL} for n in range(120)}}
    value["tools"]["called"] = {EVIL: 5, "W" * 3000: 4}
    value["columns"] = {"prompt": EVIL}
    value["ignored_files"] = [EVIL] * 300
    return {**value, "tokenizer": EVIL, "validation_data": EVIL, "format": EVIL, "data_hash": EVIL}


def drifted() -> dict[str, Any]:
    """A run against a baseline from which everything has changed."""
    before = report(15_000, 2, tokenizer="qwen3-4b")
    before["formats"]["sharegpt"] = 20
    before["lengths"]["tokens"] = of_lengths(lengths(12_000, 0.4, 5))
    now = report()
    return {**now, "baseline": compare(now, before, {"new": 1_200, "kept": 11_000, "vanished": 3_020})}


def huge() -> dict[str, Any]:
    """Ten million rows in two thousand files, and one of them faulty."""
    value = report(10_000_000, chosen_calls={"malformed": 1}, tool_calls="keep")
    return {**value, "files": {f"part-{n:05}.parquet": 5_000 - n % 2 for n in range(2_000)}}


def longwinded() -> dict[str, Any]:
    """Chosen answers four times as long as they were, without a tokenizer, tools or a broken row."""
    rows = {"read": 900, "train": 800, "validation": 100, "duplicate": 0, "quarantined": 0}
    found = lengths(900, 3.6)
    found["chosen"] = found["chosen"] * 4
    found["pair"] = found["prompt"] + found["chosen"]
    in_characters = {"characters": of_lengths(found), "tokens": None}
    recommended = recommended_max_length(*counted(found["pair"]), "characters")
    return report(
        900, rows=rows, reasons={}, examples={}, tokenizer=None, rejected_calls={},
        **{**without_lengths(), "lengths": in_characters, "recommended_max_length": recommended},
    )  # fmt: skip


ALL = {
    "sound": report, "one_row": one_row, "failed": failed, "hostile": hostile, "drifted": drifted, "huge": huge,
    "longwinded": longwinded,
}  # fmt: skip
