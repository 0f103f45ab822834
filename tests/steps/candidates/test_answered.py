"""An answer as a message: calls, the text beside them, reasoning."""

from __future__ import annotations

import pytest

from tests.steps.candidates.made import answer, call, calling


def test_calls_and_the_text_beside_them() -> None:
    found = answer(f"I look.\n{call()}")
    assert found.message == {**calling()[0], "content": "I look."}
    assert [one.name for one in found.calls] == ["get_weather"] and found.broken is None


def test_a_call_that_cannot_be_read_stays_text() -> None:
    found = answer("<tool_call>{</tool_call>")
    assert found.message == {"role": "assistant", "content": "<tool_call>{</tool_call>"} and found.broken


@pytest.mark.parametrize("text", ["<think>\nIt asks.\n</think>\n\nRome?", "It asks.\n</think>\n\nRome?"])
def test_reasoning_is_apart_whoever_opened_it(text: str) -> None:
    assert answer(text).message == {"role": "assistant", "content": "Rome?", "reasoning_content": "It asks."}


def test_an_empty_block_of_reasoning_is_none() -> None:
    assert answer("<think>\n\n</think>\n\nRome?").message == {"role": "assistant", "content": "Rome?"}


def test_reasoning_that_never_ends_is_no_answer() -> None:
    found = answer("<think>\nIt asks for", ended=False)
    assert found.message == {"role": "assistant", "content": "", "reasoning_content": "It asks for"}
