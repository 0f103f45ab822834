"""Captures and feedback of every kind, odd ones too, over several files: what all engines must make the same of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.steps.collect.captured import WEATHER, call, capture, say, write

FILES = ("version-3/chat/AllTraffic/2026/11/29/08/a.jsonl", "version-3/chat/AllTraffic/2026/11/29/09/b.jsonl",
         "elsewhere.jsonl", "empty.jsonl", "version-4/chat/AllTraffic/2026/11/30/00/c.jsonl")  # fmt: skip


def captures_of(number: int) -> Iterator[Any]:
    """Lines about one prompt; an empty text is a blank line."""
    name, prompt = f"id-{number}", f"Question {number // 3} \u00e9 {'word ' * (number % 40)}"
    odd = number % 12
    yield capture(name, prompt, f"Answer {number % 5}; write to me{number}@example.com")
    if odd == 0:
        yield capture(name, prompt, "captured again")
    if odd == 1:
        yield from ("", "   ", "no json", {"captureData": {}}, "[1]")
    if odd == 2:
        yield capture(f"cut-{number}", prompt, "A long", ended="length")
        yield capture(f"cut-{number}", prompt, "A long one, whole")
    if odd == 3:
        yield capture(f"failed-{number}", prompt, {"error": {"message": "busy"}})
    if odd == 4:
        yield capture(f"old-{number}", prompt, "A", time="2025-01-01T00:00:00Z")
    if odd == 5:
        yield capture(f"call-{number}", prompt, call("Rome"), tools=[WEATHER], encoding="BASE64")
    if odd == 6:
        yield capture(None, prompt, "by event", event=f"event-only-{number}")


def feedback_of(number: int) -> Iterator[Any]:
    name, odd = f"id-{number}", number % 12
    by, at = f"person-{number % 7}", f"2026-11-29T{number % 24:02}:00:00Z"
    yield say(name, ("up", "down", 0, 2)[number % 11 % 4], by=by, at=at, reason=f"call +49 151 {1000000 + number}")
    if number % 5 == 0:
        yield say(name, correction=f"Better {number % 3}", by="editor", at=at)
    yield from [say(f"cut-{number}", "up")] * (odd == 2) + [say(f"failed-{number}", "down")] * (odd == 3)
    yield from [say(f"old-{number}", "up")] * (odd == 4) + ["no json", say(f"nobody-{number}", "up")] * (odd == 7)
    right = {"content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Lima"}}}]}
    yield from [say(f"call-{number}", correction=right)] * (odd == 5)
    yield from [say(f"event-only-{number}", -2, by=by)] * (odd == 6)


def make(folder: Path, count: int) -> tuple[Path, Path, Path]:
    """Folders of captures and of feedback, and a file of given data, with about twice as many lines as `count`."""
    captures, feedback, data = folder / "captures", folder / "feedback", folder / "data.jsonl"
    lines = [line for number in range(count) for line in captures_of(number)]
    share = len(lines) // 3 + 1
    for at, name in enumerate(FILES):
        write(captures / name, [] if name.startswith("empty") else lines[(at - (at > 3)) * share :][:share])
    last = captures / FILES[2]
    last.write_bytes(last.read_bytes().rstrip(b"\n"))  # a last line without its end
    write(feedback / "said.jsonl", [line for number in range(0, count, 2) for line in feedback_of(number)])
    write(feedback / "more.jsonl", [line for number in range(3, count, 4) for line in feedback_of(number)])
    rows = [{"prompt": f"p{number}", "chosen": "yes", "rejected": "no"} for number in range(count // 4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return captures, feedback, data


def contents(output: Path) -> dict[str, bytes]:
    """What a run left, by name."""
    found = [path for path in output.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in found}
