"""Capture lines in SageMaker's form, and feedback, as the tests of Collect write them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from steps.collect.collect import collect
from steps.collect.options import Options
from steps.collect.report import Report

HOUR = "version-3/chat/AllTraffic/2026/11/29/08"
TIME = "2026-11-29T08:00:00Z"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def call(city: str, number: str = "call_1") -> dict[str, Any]:
    """A message that calls for the weather, as vLLM writes it: arguments as a JSON text."""
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": number, "type": "function", "function": function}],
    }


def capture(
    name: str | None, prompt: Any, answer: Any, *, event: str | None = None, time: str | None = TIME,
    ended: str = "stop", encoding: str = "JSON", **request: Any,
) -> dict[str, Any]:  # fmt: skip
    """One line; `prompt` is a text or messages; `answer` a text, a message or the whole reply, bytes as they are."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    message = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
    reply: Any = {"id": "chatcmpl-1", "object": "chat.completion", "model": "lmi", "usage": {"total_tokens": 9},
             "choices": [{"index": 0, "message": message, "finish_reason": ended}]}  # fmt: skip
    if isinstance(answer, dict) and not answer.keys() & {"role", "content"}:
        reply = answer
    if isinstance(answer, bytes):
        reply = answer.decode()
    asked = {"messages": messages, "max_tokens": 64, **request}
    about = {"eventId": event or f"event-{name}", "inferenceTime": time, "inferenceId": name}
    return {
        "captureData": {
            "endpointInput": _half("INPUT", asked, encoding),
            "endpointOutput": _half("OUTPUT", reply, encoding),
        },
        "eventMetadata": {key: value for key, value in about.items() if value is not None},
        "eventVersion": "0",
    }


def _half(mode: str, body: Any, encoding: str) -> dict[str, str]:
    text = body if isinstance(body, str) else json.dumps(body)
    if encoding == "BASE64":
        text = base64.b64encode(text.encode()).decode()
    return {"observedContentType": "application/json", "mode": mode, "data": text, "encoding": encoding}


def say(name: str, verdict: Any = None, **rest: Any) -> dict[str, Any]:
    """A line of feedback."""
    return {"inference_id": name, **({} if verdict is None else {"verdict": verdict}), **rest}


def write(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))


class Collected:
    """A run of Collect over these lines, and what it left."""

    def __init__(self, folder: Path, captures: list[Any], feedback: list[Any], **options: Any) -> None:
        self.captures, self.feedback, self.output = folder / "captures", folder / "feedback", folder / "out"
        write(self.captures / HOUR / "00-1.jsonl", captures)
        write(self.feedback / "2026/11/29/one.jsonl", feedback)
        self.report: Report = collect(Options(self.captures, self.feedback, self.output, **options))

    @property
    def pairs(self) -> list[dict[str, Any]]:
        return read(self.output / "pairs/pairs.jsonl")

    @property
    def unpaired(self) -> list[dict[str, Any]]:
        return read(self.output / "unpaired/unpaired.jsonl")

    @property
    def left_out(self) -> list[dict[str, Any]]:
        return read(self.output / "report/left_out.jsonl")

    def counts(self, kind: str) -> dict[str, int]:
        """The states that lines of a kind have, with how many have it."""
        counted = getattr(self.report, kind)
        return {state.value: count for state, count in counted.items() if count}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(pairs: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(prompt, chosen, rejected) of pairs of one turn."""
    return [tuple(pair[name][-1]["content"] for name in ("prompt", "chosen", "rejected")) for pair in pairs]  # type: ignore[misc]
