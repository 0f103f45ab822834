"""Converse-style records: blocks into messages, candidates into answers, and every odd block named."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from steps.preprocess.layouts.formats import by_name, detect
from steps.preprocess.rows.notes import new_notes
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import Record, decode
from tests.paths import SAMPLES

CONVERSE = by_name("converse")
SAMPLE = SAMPLES / "converse.jsonl"
SPEC = {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {"x": {"type": "integer"}}}}}
TOOLS = {"toolConfig": {"tools": [{"toolSpec": SPEC}]}}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def asked(*blocks: Any) -> dict:
    return {"role": "user", "content": list(blocks) or [{"text": "q"}]}


def candidate(label: Any, *blocks: Any) -> dict:
    return {"content": list(blocks), "preferenceLabel": label}


BETTER, WORSE = candidate("preferred", {"text": "a"}), candidate("non-preferred", {"text": "b"})


def answers(*candidates: Any) -> dict:
    return {"role": "assistant", "candidates": list(candidates) or [BETTER, WORSE]}


def use(**block: Any) -> dict:
    return {"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": 1}, **block}}


def result(*blocks: Any, **rest: Any) -> dict:
    return {"toolResult": {"toolUseId": "t", "content": list(blocks), **rest}}


def converted(row: dict, **rules: Any) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), Layout(CONVERSE), Rules(**rules))


def read(*messages: Any, **row: Any) -> Record:
    return decode(converted({"messages": list(messages), **row}).record)


def refused(*messages: Any, **row: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        read(*messages, **row)
    return str(error.value.code), str(error.value)


def test_sample():
    first, second = (decode(converted(json.loads(line)).record) for line in SAMPLE.read_text().splitlines())
    assert [message["content"] for message in first.prompt] == ["You are a teacher.", "What is 3 + 5?"]
    assert (first.chosen, first.rejected) == ([assistant("8")], [assistant("35")])
    question, called, *results = second.prompt
    assert question == {"role": "user", "content": "Is it colder in Oslo or in Rome?"}
    assert [(call["id"], call["function"]["arguments"]["city"]) for call in called["tool_calls"]] == [
        ("t1", "Oslo"),
        ("t2", "Rome"),
    ]
    assert results == [
        {"role": "tool", "content": '{"celsius":-4}', "tool_call_id": "t1"},
        {"role": "tool", "content": "12 °C", "tool_call_id": "t2"},
    ]
    assert second.tools[0]["function"]["parameters"]["required"] == ["city"]
    assert (second.chosen, second.rejected) == ([assistant("In Oslo, by 16 degrees.")], [assistant("In Rome.")])


def test_told_by_its_candidates_or_its_own_fields():
    assert detect({"messages": [asked(), answers()]}) is CONVERSE
    assert detect({"schemaVersion": "bedrock-conversation-2024", "messages": [asked()]}) is CONVERSE
    assert detect({"messages": [asked()], **TOOLS}) is CONVERSE
    assert detect({"messages": [asked(), {"role": "assistant", "content": []}]}) is None


def test_candidates_may_call_tools_and_reason():
    reasoned = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    record = read(asked(), answers(candidate("preferred", reasoned, use(), use(toolUseId="u")), WORSE), **TOOLS)
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    message = {"content": "", "reasoning_content": "Hm.", "tool_calls": [{"id": "t", **call}, {"id": "u", **call}]}
    assert record.chosen == [{"role": "assistant", **message}]


def test_nulls_of_unified_columns_and_cache_points_say_nothing():
    blocks = {"toolUse": None, "toolResult": None, "image": None}
    turns = (asked({"text": "q", **blocks}, {"cachePoint": {"type": "default"}}), answers())
    tools = {"toolConfig": {"tools": [{"toolSpec": SPEC}, {"cachePoint": {"type": "default"}}], "toolChoice": None}}
    record = read({**turns[0], "candidates": None}, turns[1], system=[{"text": "s"}, {"text": "t"}], **tools)
    assert record.prompt == [{"role": "system", "content": "s\nt"}, {"role": "user", "content": "q"}]
    assert len(record.tools) == 1


def test_contents_may_be_texts_and_a_system_may_be_one():
    record = read({"role": "user", "content": "q"}, answers(), system="Be brief.")
    assert [message["content"] for message in record.prompt] == ["Be brief.", "q"]


def test_a_wrong_call_stays_in_the_rejected_answer_and_fails_the_others():
    broken = candidate("non-preferred", {"text": "Calling."}, use(input=[1]))
    found = converted({"messages": [asked(), answers(BETTER, broken)], **TOOLS})
    assert found.rejected_faults == ["malformed"]
    assert decode(found.record).rejected[0]["content"].startswith("Calling.\n[{")
    chosen = answers({**broken, "preferenceLabel": "preferred"}, WORSE)
    said = "messages[1].candidates[0]: the arguments of f are a list; must be an object"
    assert refused(asked(), chosen, **TOOLS) == ("tool_call_invalid", said)
    kept = converted({"messages": [asked(), chosen], **TOOLS}, tool_calls="keep")
    assert (kept.chosen_faults, kept.rejected_faults) == (["malformed"], [])


@pytest.mark.parametrize("block", ["image", "video", "document", "audio", "guardContent", "citationsContent"])
def test_blocks_that_are_no_text_are_refused_by_name(block):
    said = f"a block of {block} cannot be trained on here; only"
    turns = "text, toolUse, toolResult and reasoningContent can"
    odd = {block: {"format": "png"}}
    where = f"messages[0].content[1].{block}"
    assert refused(asked({"text": "q"}, odd), answers()) == ("wrong_type", f"{where}: {said} {turns}")
    chosen = answers(candidate("preferred", odd), WORSE)
    where = f"messages[1].candidates[0].content[0].{block}"
    assert refused(asked(), chosen) == ("wrong_type", f"{where}: {said} {turns}")
    where = f"messages[0].content[0].toolResult.content[0].{block}"
    assert refused(asked(result(odd)), answers()) == ("wrong_type", f"{where}: {said} text and json can")
    where = f"system[0].{block}"
    assert refused(asked(), answers(), system=[odd]) == ("wrong_type", f"{where}: {said} text can")


LAST = "messages[1]"
ONE_BLOCK = "must be one block such as text; it has:"


@pytest.mark.parametrize(
    ("messages", "code", "message"),
    [
        ([], "empty_prompt", "messages is an empty list"),
        ([answers()], "empty_prompt", "the prompt has no turn of the user"),
        (
            [asked(), {"role": "assistant", "content": []}],
            "missing_field",
            f"{LAST}, the last turn, has no candidates; it has: role, content",
        ),
        ([asked(), "a"], "wrong_type", f"{LAST} is text; must be a turn"),
        (["q", answers()], "wrong_type", "messages[0] is text; must be a turn"),
        ([asked(), {"candidates": []}], "missing_field", f"{LAST} has no role; it has: candidates"),
        ([asked(), {**answers(), "candidates": {}}], "wrong_type", f"{LAST}.candidates is an object; must be a list"),
        ([asked(), answers(BETTER)], "missing_field", f"{LAST}.candidates has none that is non-preferred"),
        ([asked(), answers(WORSE)], "missing_field", f"{LAST}.candidates has none that is preferred"),
        (
            [asked(), answers(BETTER, WORSE, WORSE)],
            "wrong_type",
            f"{LAST}.candidates has 2 that are non-preferred; must be one: write a row for each pair",
        ),
        (
            [asked(), answers(BETTER, BETTER, WORSE)],
            "wrong_type",
            f"{LAST}.candidates has 2 that are preferred; must be one: write a row for each pair",
        ),
        ([asked(), answers(BETTER, "b")], "wrong_type", f"{LAST}.candidates[1] is text; must be an object"),
        (
            [asked(), answers(BETTER, {"content": []})],
            "missing_field",
            f"{LAST}.candidates[1] has no preferenceLabel; it has: content",
        ),
        (
            [asked(), answers(BETTER, candidate("bad"))],
            "wrong_type",
            f"{LAST}.candidates[1].preferenceLabel is 'bad'; must be 'preferred' or 'non-preferred'",
        ),
        (
            [asked(), answers(BETTER, candidate(["bad"]))],
            "wrong_type",
            f"{LAST}.candidates[1].preferenceLabel is a list; must be 'preferred' or 'non-preferred'",
        ),
        (
            [asked(), answers(BETTER, {"preferenceLabel": "non-preferred"})],
            "missing_field",
            f"{LAST}.candidates[1] has no content; it has: preferenceLabel, role",
        ),
        ([asked(), answers(BETTER, candidate("non-preferred"))], "empty_response", "rejected is empty"),
        ([asked(), {**answers(), "role": "user"}], "not_assistant", "chosen holds a turn by the user"),
        ([answers(), answers()], "turn_order", "messages[0] has candidates; only the last turn may"),
        ([{"role": "user"}, answers()], "missing_field", "messages[0] has no content; it has: role"),
        ([{"role": "king", "content": []}, answers()], "unknown_role", "messages[0] has the role 'king'; known: "),
        (
            [{"role": "user", "content": 5}, answers()],
            "wrong_type",
            "messages[0].content is a number; must be a list of blocks",
        ),
        ([asked("q"), answers()], "wrong_type", "messages[0].content[0] is text; must be a block"),
        ([asked({}), answers()], "wrong_type", f"messages[0].content[0] {ONE_BLOCK} nothing"),
        (
            [asked({"text": "q", "image": {}}), answers()],
            "wrong_type",
            f"messages[0].content[0] {ONE_BLOCK} text, image",
        ),
        ([asked({"text": 5}), answers()], "wrong_type", "messages[0].content[0].text is a number; must be text"),
        ([asked(use()), answers()], "not_assistant", "messages[0] calls tools as 'user'; only the assistant may"),
        (
            [asked(), answers(candidate("preferred", result()), WORSE)],
            "turn_order",
            f"{LAST}.candidates[0].content[0].toolResult is in a turn by the assistant; "
            "only the user's turn may hold one",
        ),
        (
            [asked({"toolResult": "r"}), answers()],
            "wrong_type",
            "messages[0].content[0].toolResult is text; must be an object",
        ),
        (
            [asked(), answers(candidate("preferred", {"reasoningContent": {"redactedContent": "x"}}), WORSE)],
            "wrong_type",
            f"{LAST}.candidates[0].content[0].reasoningContent has no reasoningText; "
            "other reasoning cannot be trained on",
        ),
        (
            [asked(), answers(candidate("preferred", {"toolUse": "f"}), WORSE)],
            "tool_call_invalid",
            f"{LAST}.candidates[0]: the call is text; must be an object with name and arguments",
        ),
        (
            [asked(), answers(candidate("preferred", use(name="g")), WORSE)],
            "tool_call_invalid",
            "chosen calls g, which the row's tools do not declare (none)",
        ),
    ],
)
def test_what_is_wrong_with_a_record_is_named(messages, code, message):
    found, said = refused(*messages)
    assert found == code
    assert said == message or (message.endswith(" ") and said.startswith(message))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("x", "toolConfig must be an object whose tools are a list"),
        ({"tools": {}}, "toolConfig must be an object whose tools are a list"),
        ({"tools": ["x"]}, "toolConfig.tools[0] has no toolSpec"),
        ({"tools": [{"toolSpec": SPEC}, {}]}, "toolConfig.tools[1] has no toolSpec"),
        ({"tools": [{"toolSpec": {**SPEC, "name": None}}]}, "tools[0] has no name"),
        (
            {"tools": [{"toolSpec": {"name": "f", "inputSchema": []}}]},
            "toolConfig.tools[0].toolSpec.inputSchema is a list; must be an object",
        ),
        (
            {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": [1]}}}]},
            "tools[0].parameters is a list; must be a JSON schema",
        ),
    ],
)
def test_what_is_wrong_with_its_tools_is_named(config, message):
    assert refused(asked(), answers(), toolConfig=config) == ("tools_invalid", message)


def test_what_nothing_reads_is_noted():
    notes = new_notes(keep_faulty_calls=False)
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    messages = [
        {**asked(), "weight": 1},
        {"role": "assistant", "content": [thought, use(type="server_tool_use"), {"cachePoint": {"type": "default"}}]},
        asked(result({"text": "1"}, status="success")),
        {**answers({**BETTER, "score": 2}, WORSE), "stop": "x"},
    ]
    tools = [{"toolSpec": SPEC, "cost": 1}, {"cachePoint": {"type": "default"}}]
    CONVERSE.read({"messages": messages, "toolConfig": {"tools": tools, "toolChoice": {"auto": {}}}}, notes)
    assert notes.unread == {
        "toolConfig.toolChoice": {"auto": {}},
        "toolConfig.tools[].cost": 1,
        "toolConfig.tools[].cachePoint": {"type": "default"},
        "messages[].weight": 1,
        "messages[].content[].reasoningContent.reasoningText.signature": "s",
        "messages[].content[].cachePoint": {"type": "default"},
        "messages[].tool_calls[].type": "server_tool_use",
        "messages[].content[].toolResult.status": "success",
        "messages[].stop": "x",
        "messages[].candidates[].score": 2,
    }
