"""Streamed answers: put together they are what one without a stream says, or they are left out."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.collect.captures import Unreadable
from steps.collect.stream import joined
from tests.steps.collect.captured import WEATHER, Collected, call, capture, say


def chunk(delta: dict[str, Any], ended: str | None = None, index: int = 0) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": ended}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "lmi", "choices": [choice]}


def events(chunks: list[dict[str, Any]], end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + end


def streamed(message: dict[str, Any], parts: int, ended: str = "stop") -> list[dict[str, Any]]:
    """A message as vLLM streams it, its texts in about so many parts; then a chunk of usage, which has no choice."""
    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"content": part}) for part in cut(message.get("content") or "", parts)]
    for number, one in enumerate(message.get("tool_calls", [])):
        function = one["function"]
        begun = {"index": number, "id": one["id"], "type": "function", "function": {"name": function["name"]}}
        chunks.append(chunk({"tool_calls": [begun]}))
        chunks += [
            chunk({"tool_calls": [{"index": number, "function": {"arguments": part}}]})
            for part in cut(function["arguments"], parts)
        ]
    return [*chunks, chunk({}, ended), {"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}]


def cut(text: str, parts: int) -> list[str]:
    size = max(1, len(text) // parts)
    return [text[start : start + size] for start in range(0, len(text), size)]


@given(st.text(min_size=1), st.lists(st.text(), max_size=2), st.integers(1, 5), st.booleans())
def test_the_parts_make_the_message_that_was_cut(said: str, cities: list[str], parts: int, bare: bool) -> None:
    calls = [call(city, f"call_{number}")["tool_calls"][0] for number, city in enumerate(cities)]
    message = {"role": "assistant", "content": said, **({"tool_calls": calls} if calls else {})}
    chunks = streamed(message, parts)
    body = "".join(f"{json.dumps(one)}\n" for one in chunks) if bare else events(chunks)
    found = joined(body.encode())
    assert found == {"model": "lmi", "choices": [{"message": message, "finish_reason": "stop"}]}


@given(st.binary() | st.text().map(lambda text: json.dumps({"object": "chat.completion", "said": text}).encode()))
def test_what_is_no_stream_is_left_as_it_is(body: bytes) -> None:
    assert joined(body) is None


def test_an_answer_that_speaks_of_chunks_is_no_stream() -> None:
    reply = {"object": "chat.completion", "choices": [{"message": {"content": "data: chat.completion.chunk"}}]}
    assert joined(json.dumps(reply).encode()) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (events([chunk({"content": "Li"})], end=""), "finish_reason is missing"),
        (events([chunk({"content": "Li"})], end='data: {"error": {"message": "no memory"}}'), "ended with an error"),
        (events([chunk({"content": "Li"})], end='data: {"choices": [{"ind'), "no JSON object"),
        (events([chunk({"tool_calls": [{"index": 1}]}, "stop")]), "index does not follow"),
        (events([chunk({"tool_calls": ["call"]}, "stop")]), "no list of objects"),
        (events([{**chunk({}), "choices": [{"delta": {}}]}]), "no index"),
    ],
)
def test_a_stream_that_is_not_whole_is_refused_with_the_reason(body: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        joined(body.encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "index", "delta", "tool_calls", "function", "arguments", "content", "error"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_no_stream_is_a_crash(chunks: list[Any]) -> None:
    with contextlib.suppress(Unreadable):
        joined(events([chunk({"content": "A"}), *chunks]).encode())


def test_a_streamed_answer_is_the_answer_that_is_not_and_is_paired(tmp_path: Path) -> None:
    captures = [
        capture("1", "Weather in Lima?", events(streamed(call("Lima"), 3, "tool_calls")).encode(), tools=[WEATHER]),
        capture("2", "Weather in Lima?", call("Lima", "call_9"), tools=[WEATHER]),
        capture("3", "Weather in Lima?", events(streamed({"content": "Hello."}, 2)).encode(), encoding="BASE64",
                tools=[WEATHER]),
        capture("4", "Q", events(streamed({"content": "Hel"}, 2, "length")).encode()),
        capture("5", "Q", events([chunk({"content": "Hel"})], end="").encode()),
    ]  # fmt: skip
    said = [say("1", "up"), say("2", "up"), say("3", "down"), say("4", "up"), say("5", "up")]
    run = Collected(tmp_path, captures, said)
    assert run.counts("captures") == {"paired": 3, "truncated": 1, "error": 1}
    ((pair),) = run.pairs
    assert pair["provenance"]["chosen"]["inference_ids"] == ["1", "2"]
    assert pair["rejected"][0]["content"] == "Hello."
