"""JSON that stands as a text inside a row loses neither a key nor a digit unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.rows.json_texts import loads
from steps.preprocess.rows.reasons import InvalidRow
from tests.steps.preprocess.converting import ASKED, TOOLS, arguments_of, calling, record_of, refused

BIG = "12345678901234567890123"
NO = [{"role": "assistant", "content": "No."}]
WRITTEN = (
    "<tool_call>%s</tool_call>",
    "<TOOLCALL>[%s]</TOOLCALL>",
    "Sure.\n<tool_call>\n%s\n</tool_call>",
    "[TOOL_CALLS] [%s]",
    "<|python_tag|>%s",
    "[%s]",
)
REACT = "Thought: x\nAction: f\nAction Input: %s"
TEXTS = st.text(st.sampled_from('":\\ a{}\n\t'), max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)


def row(chosen: Any, rejected: Any = NO, tools: Any = TOOLS) -> dict[str, Any]:
    return {"prompt": ASKED, "chosen": chosen, "rejected": rejected, "tools": tools}


@pytest.mark.parametrize("written", [*(text % '{"name":"f","arguments":%s}' for text in WRITTEN), REACT])
def test_calls_written_as_text_lose_neither_digits_nor_keys(written: str) -> None:
    assert arguments_of(row(written % '{"city":"Oslo","n":18446744073709551615}')) == [{"city": "Oslo", "n": 2**64 - 1}]
    large, twice = written % f'{{"city":"Oslo","n":{BIG}}}', written % '{"city":"Oslo","city":"Rome"}'
    for given_row in (row(large), row(NO, large)):
        code, said = refused(given_row)
        assert code == "number_too_large" and f"holds {BIG}, which has more than 64 bits" in said
    for given_row in (row(twice), row(NO, twice)):
        code, said = refused(given_row)
        assert code == "duplicate_keys" and "an object has the key 'city' twice" in said


def test_a_text_that_stays_text_may_hold_what_it_likes() -> None:
    written = f'[{{"name":"f","arguments":{{"n":{BIG},"n":1}}}}]'
    assert record_of(row(written, tools=None)).chosen[0]["content"] == written


def test_a_key_twice_in_arguments_in_tools_and_in_columns_names_the_place() -> None:
    call = {"name": "f", "arguments": '{"city":"Oslo","city":"Rome"}'}
    twice = "an object has the key 'city' twice; one of its values would be lost"
    assert refused(row(calling(call))) == ("duplicate_keys", f"chosen[0]: a call of f: {twice}")
    schema = '{"type":"object","properties":{"city":{"type":"string"},"city":{"type":"integer"}}}'
    tool = f'{{"name":"f","parameters":{schema}}}'
    for tools in (f"[{tool}]", [tool], [{"name": "f", "parameters": schema}]):
        code, said = refused(row(NO, "a", tools))
        assert code == "duplicate_keys" and twice in said and said.startswith("tools")
    answers = '[{"role":"assistant","content":"a","content":"b"}]', '[{"role":"assistant","content":"c"}]'
    said = "chosen: an object has the key 'content' twice; one of its values would be lost"
    assert refused({"prompt": json.dumps(ASKED), "chosen": answers[0], "rejected": answers[1]}) == (
        "duplicate_keys",
        said,
    )


@given(VALUES, st.sampled_from([(",", ":"), (", ", ": "), (",", " : "), (",", "\n  :"), (",", "\t:")]))
def test_what_json_dumps_writes_passes_and_a_key_twice_beside_it_does_not(value: Any, separators: Any) -> None:
    text = json.dumps(value, separators=separators)
    assert loads(text, "x") == value
    with pytest.raises(InvalidRow, match="x: an object has the key 'k' twice"):
        loads(f'[{text},{{"k"{separators[1]}1,"k"{separators[1]}2}}]', "x")
