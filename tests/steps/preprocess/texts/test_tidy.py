"""Calls that stand as text beside declared tools, prompts repeated in answers, and turns that follow one another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steps.preprocess.texts.calls import read_calls, writes_calls
from tests import growth
from tests.steps.preprocess.converting import ASKED, TOOLS, converted, record_of, refused
from tests.steps.preprocess.turns import assistant, call, user

OSLO = '{"name": "f", "arguments": {"city": "Oslo"}}'
CALLED = {**assistant(""), "tool_calls": [call("f", city="Oslo")]}
READ, AS_TEXT = "calls read from text", "calls as text"


def row(answer: str, other: str = "No.", **more: Any) -> dict[str, Any]:
    return {"prompt": "Weather in Oslo?", "chosen": answer, "rejected": other, **more}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"<tool_call>\n{OSLO}\n</tool_call>", ""),
        (f"I look.\n<tool_call>{OSLO}</tool_call>", "I look."),
        (f"<TOOLCALL>[{OSLO}]</TOOLCALL>", ""),
        (f"[{OSLO}]", ""),
        (f"\n{OSLO}\n", ""),
        ('{"name": "f", "parameters": {"city": "Oslo"}}', ""),
        (f"[TOOL_CALLS] [{OSLO}]", ""),
        ('Thought: I look.\nAction: f\nAction Input: {"city": "Oslo"}\nObservation:', "Thought: I look."),
    ],
)
def test_calls_as_text_beside_declared_tools_are_calls(text: str, said: str) -> None:
    given = row(text, tools=TOOLS)
    assert record_of(given).chosen == [{**CALLED, "content": said}]
    assert converted(given).done == [READ] and converted(given).called == ["f"]
    assert converted(row(text)).done == [AS_TEXT]
    assert record_of(row(text)).chosen == [assistant(text)]


def test_a_list_of_calls_as_each_answer_makes_a_pair_that_differs_in_its_calls() -> None:
    given = row(f"[{OSLO}]", f"[{OSLO}]".replace("Oslo", "Rome"), tools=json.dumps([TOOLS[0]["function"]]))
    record = record_of(given)
    assert (record.chosen, record.rejected[0]["tool_calls"]) == ([CALLED], [call("f", city="Rome")])


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\n{'name': 'f'}\n</tool_call>",
        f"<tool_call>{OSLO}",
        "<tool_call><function=f><parameter=city>Oslo</parameter></function></tool_call>",
        "Action: f\nAction Input: Oslo",
        "Write <tool_call> before a call.",
    ],
)
def test_what_does_not_parse_stays_text_and_is_counted(text: str) -> None:
    given = row(text, tools=TOOLS)
    assert (record_of(given).chosen, converted(given).done) == ([assistant(text)], [AS_TEXT])


@pytest.mark.parametrize("text", ['{"city": "Oslo"}', "[1, 2]", '[{"name": "Ann"}]', "{", "Action: none."])
def test_other_json_is_no_call(text: str) -> None:
    given = row(text, tools=TOOLS)
    assert (record_of(given).chosen, converted(given).done) == ([assistant(text)], [])


def test_a_call_from_text_is_compared_with_the_declared_tools() -> None:
    undeclared = OSLO.replace('"f"', '"g"')
    assert refused(row(f"[{undeclared}]", tools=TOOLS))[0] == "tool_call_invalid"
    assert converted(row("No.", f"[{undeclared}]", tools=TOOLS)).rejected_faults == ["undeclared"]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "set", "parameters": {"type": "object"}}',
        '[{"name": "set", "input": {}}]',
        '{"type": "function", "function": {"name": "set", "parameters": {}}}',
    ],
)
def test_json_that_names_no_declared_tool_and_has_no_arguments_is_a_text(text: str) -> None:
    given = row(text, tools=TOOLS)
    assert (record_of(given).chosen, converted(given).done) == ([assistant(text)], [])


def test_calls_in_the_prompt_are_calls_where_their_results_follow() -> None:
    text = assistant(f"<tool_call>{OSLO}</tool_call>")
    results = {"role": "tool", "content": "<tool_response>\n3\n</tool_response>\n<tool_response>4</tool_response>"}
    given = {"prompt": [*ASKED, text, results], "chosen": "3.", "rejected": "4.", "tools": TOOLS}
    said = [{"role": "tool", "content": content} for content in ("3", "4")]
    assert record_of(given).prompt == [*ASKED, CALLED, *said]
    given["prompt"] = [*ASKED, text, user("And?")]
    assert (record_of(given).prompt[1], converted(given).done) == (text, [AS_TEXT])


@pytest.mark.parametrize(
    ("answers", "stripped"),
    [
        (("Name a prime. 7", "Name a prime. 9"), ("7", "9")),
        (("Name a prime.\n7", "9"), ("7", "9")),
    ],
)
def test_a_prompt_that_an_answer_begins_with_is_told_and_removed_on_request(answers: tuple, stripped: tuple) -> None:
    given = {"prompt": "Name a prime.", "chosen": answers[0], "rejected": answers[1]}
    assert record_of(given).chosen == [assistant(answers[0])]
    assert converted(given).done == ["prompt repeated in an answer"]
    record = record_of(given, strip_prompt=True)
    assert (record.chosen, record.rejected) == ([assistant(stripped[0])], [assistant(stripped[1])])
    assert converted(given, strip_prompt=True).done == ["repeated prompt removed from an answer"]


@pytest.mark.parametrize(
    ("prompt", "answer"), [("Hi", "Hi there"), ("Name a prime.", "Name a prime.9"), ("Name a prime.", "Name a prime. ")]
)
def test_a_word_a_longer_word_and_an_echo_are_no_repeated_prompt(prompt: str, answer: str) -> None:
    given = {"prompt": prompt, "chosen": answer, "rejected": "b"}
    assert converted(given, strip_prompt=True).done == []
    assert record_of(given, strip_prompt=True).chosen == [assistant(answer)]


def test_turns_that_follow_one_by_the_same_speaker_are_joined_on_request() -> None:
    turns = [user("Hi"), user("Name a prime."), assistant("Odd?"), assistant("Or even?"), user("Odd.")]
    given = {"prompt": turns, "chosen": [assistant("7"), assistant("It is.")], "rejected": [assistant("9")]}
    assert refused(given)[0] == "turn_order"
    record = record_of(given, merge_turns=True)
    assert record.prompt == [user("Hi\n\nName a prime."), assistant("Odd?\n\nOr even?"), user("Odd.")]
    assert record.chosen == [assistant("7\n\nIt is.")]
    assert converted(given, merge_turns=True).done == ["turns merged"]


def test_calls_that_follow_what_is_said_are_joined_and_what_waits_for_a_result_is_not() -> None:
    given = {"prompt": ASKED, "chosen": [assistant("I look."), CALLED], "rejected": [assistant("No.")], "tools": TOOLS}
    assert record_of(given, merge_turns=True).chosen == [{**CALLED, "content": "I look."}]
    given["chosen"] = [CALLED, assistant("It rains.")]
    assert refused(given, merge_turns=True)[0] == "turn_order"


@pytest.mark.parametrize(
    "repeated", ["\n", " ", "\nAction: ", "<tool_call>", "\nAction: f\nAction Input: ", "[", "<tool_call></tool_call>"]
)
def test_time_grows_with_the_text_and_no_faster(repeated: str) -> None:
    from steps.preprocess.rows.notes import Side

    def look(size: int) -> None:
        for text in (repeated * size, f"{repeated * size}Action Input", f"Action:{repeated * size}\nAction Input"):
            writes_calls(text)
            read_calls(text, "a text", Side(None, {}))

    assert growth.is_linear(look, 20_000)


def test_time_to_merge_turns_grows_with_their_number() -> None:
    from steps.preprocess.rows.notes import new_notes
    from steps.preprocess.rows.pairs import Pair
    from steps.preprocess.rows.rules import Rules
    from steps.preprocess.texts.tidy import tidied

    def merge(count: int) -> None:
        pair = Pair([user("word " * 100)] * count, [assistant("a")], [assistant("b")])
        assert len(tidied(pair, None, new_notes(False), Rules(merge_turns=True)).prompt) == 1

    assert growth.is_linear(merge, 400)
