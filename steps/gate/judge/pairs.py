"""The pairs of answers that a judge compares, from answers.jsonl."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.shared.contract import StepError

TEXTS = ("text", "answer")  # kinds of chosen answers that no comparison of calls judges
LONGEST = 20_000  # characters of a conversation, and of an answer, that the judge gets to read


@dataclass(frozen=True)
class Pair:
    """Two answers to the end of one conversation, which is told as text."""

    id: str
    conversation: str
    base: str
    candidate: str


def read(file: Path) -> list[Pair]:
    """The pairs whose chosen answer is a text, in an order that has nothing to do with how good the answers are.

    The file has the worst first: to judge its beginning alone, where a bound ends the judgement, would be unfair. By
    the hash of the row's id a judgement of fewer pairs is one of a fair part of them, and the same in every run.

    Raises:
        StepError: a line is not what training writes.
    """
    found = [pair for number, line in _lines(file) if (pair := _pair(file, number, line))]
    return sorted(found, key=lambda pair: hashlib.sha256(pair.id.encode()).digest())


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StepError(f"{file}: the answers to judge cannot be read: {error}") from None
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _pair(file: Path, number: int, line: str) -> Pair | None:
    try:
        row = json.loads(line)
        if row["expected"] not in TEXTS:
            return None
        said = {side: str(row["answers"][side]["text"])[:LONGEST] for side in ("base", "candidate")}
        return Pair(id=str(row["id"]), conversation=told(row["prompt"])[-LONGEST:], **said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said_of_it = f"{type(error).__name__}: {error}"
        raise StepError(f"{file}: line {number} is not what training writes ({said_of_it})") from None


def told(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as text, a heading for each turn."""
    return "\n\n".join(f"{message['role']}:\n{_content(message)}" for message in messages)


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    said = [content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)] if content else []
    if calls := message.get("tool_calls"):
        said.append(json.dumps(calls, ensure_ascii=False))
    return "\n".join(said)
