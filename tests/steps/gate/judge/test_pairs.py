"""Which pairs of answers.jsonl a judge compares, in which order, and how a conversation is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.gate.judge.pairs import LONGEST, read
from steps.shared.contract import StepError


def row(id: str, expected: str | None = "text", candidate: str = "new", **other: Any) -> dict[str, Any]:
    answers = {"base": {"text": "old"}, "candidate": {"text": candidate}}
    return {"id": id, "prompt": [{"role": "user", "content": "Hi"}], "expected": expected, "answers": answers, **other}


def written(folder: Path, *rows: object) -> Path:
    file = folder / "answers.jsonl"
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows))
    return file


def test_only_questions_with_a_text_for_their_chosen_answer_are_judged(tmp_path: Path) -> None:
    kinds = ("text", "answer", "call", "ask", "decline", None)
    found = read(written(tmp_path, *(row(f"{kind}", kind) for kind in kinds)))
    assert {pair.id for pair in found} == {"text", "answer"}
    assert {(pair.conversation, pair.base, pair.candidate) for pair in found} == {("user:\nHi", "old", "new")}


def test_the_order_has_nothing_to_do_with_the_files(tmp_path: Path) -> None:
    rows = [row(f"row {number}") for number in range(20)]
    forwards = [pair.id for pair in read(written(tmp_path, *rows))]
    assert forwards == [pair.id for pair in read(written(tmp_path, *reversed(rows)))]
    assert forwards != [one["id"] for one in rows]


def test_calls_contents_that_are_no_text_and_long_texts_are_told(tmp_path: Path) -> None:
    call = {"function": {"name": "weather", "arguments": {"city": "Köln"}}}
    prompt = [
        {"role": "system", "content": "x" * LONGEST},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": [{"type": "text", "text": "rain"}]},
        {"role": "user", "content": "So?"},
    ]
    (pair,) = read(written(tmp_path, row("a", candidate="y" * (LONGEST + 1), prompt=prompt)))
    assert len(pair.conversation) == len(pair.candidate) == LONGEST
    assert pair.conversation.endswith(
        'assistant:\n[{"function": {"name": "weather", "arguments": {"city": "Köln"}}}]\n\n'
        'tool:\n[{"type": "text", "text": "rain"}]\n\nuser:\nSo?'
    )


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"id": "a"}', json.dumps(row("a", answers={"base": {"text": "a"}})), json.dumps(row("a", prompt=[1]))],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(StepError, match=r"answers\.jsonl: line 2 is not what training writes"):
        read(written(tmp_path, row("b"), line))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(StepError, match="the answers to judge cannot be read"):
        read(tmp_path / "answers.jsonl")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "answers.jsonl"
    file.write_bytes(content)
    try:
        assert read(file) == []
    except StepError as error:
        assert str(error).startswith(str(file))
