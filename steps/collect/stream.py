"""A streamed answer put together: what `stream: true` brings as pieces, as the reply that one without it is.

The form is OpenAI's `chat.completion.chunk`, as vLLM and DJL Serving send it: server-sent events (`data: {…}`, at the
end `data: [DONE]`), or a JSON object a line. Texts and arguments of calls come in parts, which follow each other by the
`index` of choice and call. Limits: that SageMaker captures the whole of a streamed answer is documented nowhere; one
that has no end is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from steps.collect.captures import Unreadable

CHUNK = "chat.completion.chunk"
DATA, DONE = b"data:", b"[DONE]"
BESIDE = (b":", b"event:", b"id:", b"retry:")  # other lines of server-sent events


def joined(body: bytes) -> dict[str, Any] | None:
    """The reply whose parts these are; None where the body is no stream.

    Raises:
        Unreadable: it is one, and is not whole, or no such stream further on.
    """
    if CHUNK.encode() not in body:
        return None
    events = _events(body)
    first = _parsed(next(events, b""))
    if first is None or first.get("object") != CHUNK:
        return None
    chunks = [first, *(_chunk(event) for event in events if event != DONE)]
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in _objects(chunk, "choices"):
            _add(choices.setdefault(_index(choice), {"message": {"role": "assistant"}}), choice)
    if not choices or any("finish_reason" not in choice for choice in choices.values()):
        raise Unreadable("the stream has no end: finish_reason is missing")
    return {"model": first.get("model"), "choices": [choices[number] for number in sorted(choices)]}


def _events(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        if (line := line.strip()) and not line.startswith(BESIDE):
            yield line.removeprefix(DATA).strip()


def _parsed(event: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(event)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _chunk(event: bytes) -> dict[str, Any]:
    chunk = _parsed(event)
    if chunk is None:
        raise Unreadable("a part of the stream is no JSON object")
    if "error" in chunk:
        raise Unreadable("the stream ended with an error")
    return chunk


def _objects(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = value.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Unreadable(f"a part of the stream has {key} that are no list of objects")
    return found


def _index(part: dict[str, Any]) -> int:
    index = part.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise Unreadable("a part of the stream has no index")
    return index


def _add(choice: dict[str, Any], part: dict[str, Any]) -> None:
    """Add a part to a choice: its texts to the message's, and its calls to those of their index."""
    delta, message = part.get("delta") or {}, choice["message"]
    if not isinstance(delta, dict):
        raise Unreadable("a part of the stream has a delta that is no object")
    for key, value in delta.items():
        if key != "role" and isinstance(value, str):
            message[key] = message.get(key, "") + value
    for call in _objects(delta, "tool_calls"):
        _add_call(message.setdefault("tool_calls", []), call)
    if part.get("finish_reason") is not None:
        choice["finish_reason"] = part["finish_reason"]


def _add_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Name and id come once, or again with each part; arguments are a text in parts."""
    if _index(part) == len(calls):
        calls.append({"type": "function", "function": {"arguments": ""}})
    if not 0 <= _index(part) < len(calls):
        raise Unreadable("a part of the stream has a call whose index does not follow")
    call, function = calls[_index(part)], part.get("function") or {}
    if not isinstance(function, dict):
        raise Unreadable("a part of the stream has a call whose function is no object")
    if part.get("id"):
        call.setdefault("id", part["id"])
    if function.get("name"):
        call["function"].setdefault("name", function["name"])
    if isinstance(function.get("arguments"), str):
        call["function"]["arguments"] += function["arguments"]
