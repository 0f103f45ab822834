"""Content blocks of OpenAI and Anthropic: texts, reasoning, calls and results; what is no text is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from steps.preprocess.rows.blocks import MEDIA
from tests.steps.preprocess.converting import ASKED, TOOLS, record_of, refused

CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"city": "Oslo"}}
I_LOOK = {"role": "assistant", "content": [{"type": "text", "text": "I look."}, CALL]}
CALLED = {
    "role": "assistant",
    "content": "I look.",
    "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": {"city": "Oslo"}}}],
}


def prompt_of(*turns: dict[str, Any]) -> list[dict[str, Any]]:
    return record_of({"prompt": [*ASKED, *turns], "chosen": "1", "rejected": "2", "tools": TOOLS}).prompt[1:]


def result(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content, **more}]}


def test_calls_and_results_of_anthropic_become_turns_of_their_own() -> None:
    row = {
        "messages": [*ASKED, I_LOOK, result("1")],
        "chosen_response": {"role": "assistant", "content": "1"},
        "rejected_response": {"role": "assistant", "content": "2"},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
    }
    record = record_of(row)
    assert record.prompt == [*ASKED, CALLED, {"role": "tool", "content": "1", "tool_call_id": "t"}]
    assert (record.chosen[0]["content"], record.rejected[0]["content"]) == ("1", "2")


def test_what_the_user_says_beside_a_result_comes_after_it() -> None:
    turn = result([{"type": "text", "text": "1"}])
    turn["content"].append({"type": "text", "text": "And Rome?"})
    assert prompt_of(I_LOOK, turn)[1:] == [
        {"role": "tool", "content": "1", "tool_call_id": "t"},
        {"role": "user", "content": "And Rome?"},
    ]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"celsius": 3, "wind": [1, None]}, '{"celsius":3,"wind":[1,null]}'),
        ([{"celsius": 3}], '[{"celsius":3}]'),
        ([1, 2], "[1,2]"),
        (7, "7"),
        (True, "true"),
        ([{"type": "text", "text": "a"}, {"text": "b"}], "ab"),
        ([{"type": "text", "text": "a", "annotations": [], "id": None}], "a"),
        ([{"id": 1, "text": "one"}, {"id": 2, "text": "two"}], '[{"id":1,"text":"one"},{"id":2,"text":"two"}]'),
        ([{"text": "one", "type": ["x"]}], '[{"text":"one","type":["x"]}]'),
        ([{"text": "one", "likes": 3}], '[{"text":"one","likes":3}]'),
        (
            [{"type": "text", "text": "a"}, {"text": "b", "likes": 3}],
            '[{"type":"text","text":"a"},{"text":"b","likes":3}]',
        ),
        ([{"type": "flight", "to": "Oslo"}], '[{"type":"flight","to":"Oslo"}]'),
        ([{"text": "x", "image_url": "http://x"}], '[{"text":"x","image_url":"http://x"}]'),
        ([{"type": "file", "name": "a.txt", "size": 3}], '[{"type":"file","name":"a.txt","size":3}]'),
        ([{"type": "file"}, {"type": "image"}], '[{"type":"file"},{"type":"image"}]'),
        ([{"type": "text", "size": 3}], '[{"type":"text","size":3}]'),
    ],
)
def test_the_result_of_a_tool_may_be_any_json(given: Any, wanted: str) -> None:
    assert prompt_of(I_LOOK, {"role": "tool", "tool_call_id": "t", "content": given})[1]["content"] == wanted
    assert prompt_of(I_LOOK, result(given))[1]["content"] == wanted


def test_thinking_beside_text_and_calls_is_kept() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    turn = {"role": "assistant", "content": [thought, *I_LOOK["content"]]}
    assert prompt_of(turn, result("1"))[0] == {
        "role": "assistant", "content": "I look.", "reasoning_content": "Hm.", "tool_calls": CALLED["tool_calls"]
    }  # fmt: skip


def test_pairs_that_differ_in_their_thinking_alone_are_pairs() -> None:
    answers = [[{"role": "assistant", "thinking": said, "content": "7"}] for said in ("7 has no divisors.", "I guess.")]
    record = record_of({"prompt": ASKED, "chosen": answers[0], "rejected": answers[1]})
    assert record.chosen == [{"role": "assistant", "content": "7", "reasoning_content": "7 has no divisors."}]
    assert record.rejected[0]["reasoning_content"] == "I guess."


@pytest.mark.parametrize("name", ["image", "image_url", "input_audio", "video", "file", "document"])
def test_a_block_that_is_no_text_is_refused_by_name(name: str) -> None:
    row = {"prompt": [{"role": "user", "content": [{"type": name, "text": "x"}]}], "chosen": "a", "rejected": "b"}
    said = f"prompt[0].content[0]: a block of type '{name}' by the user cannot be trained on here"
    assert refused(row) == ("wrong_type", said)


@pytest.mark.parametrize("name", sorted(MEDIA))
def test_media_in_a_turn_or_in_a_block_of_text_are_refused_by_name(name: str) -> None:
    for turn, where in (
        ({"role": "user", "content": "Hi", name: ["a.png"]}, "prompt[0]"),
        ({"role": "user", "content": [{"type": "text", "text": "Hi", name: ["a.png"]}]}, "prompt[0].content[0]"),
    ):
        said = f"{where}.{name} holds a list; only texts can be trained on here"
        assert refused({"prompt": [turn], "chosen": "a", "rejected": "b"}) == ("wrong_type", said)
    empty = {"role": "user", "content": "Hi", name: []}
    assert record_of({"prompt": [empty], "chosen": "a", "rejected": "b"}).prompt == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
        {"type": "image", "data": "iVBO", "mimeType": "image/png"},
        {"type": "image_url", "image_url": {"url": "http://x"}},
    ],
)
def test_an_image_that_a_tool_gave_back_is_refused_and_never_base64_text(block: dict[str, Any]) -> None:
    said = f"prompt[2].content[1]: a block of type '{block['type']}' by the tool cannot be trained on here"
    turns = [*ASKED, I_LOOK, {"role": "tool", "content": [{"type": "text", "text": "a"}, block]}]
    code, found = refused({"prompt": turns, "chosen": "1", "rejected": "2", "tools": TOOLS})
    assert code == "wrong_type" and (found == said or "prompt[2].content[1].image_url holds" in found)
