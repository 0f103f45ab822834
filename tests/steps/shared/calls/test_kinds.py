"""What an answer does: the quickstart's answers and real ones by what they are known to be, and texts of all kinds."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.quickstart.catalogue import TOOLS
from steps.quickstart.preferences import DECLINES
from steps.quickstart.tiny_model import DATA
from steps.shared.calls.call import Call, Parsed
from steps.shared.calls.kinds import KINDS, expected_calls, expected_kind, kind, kind_of_text
from steps.shared.records import Record
from tests import growth
from tests.paths import ROOT

WHEN2CALL = ROOT.parent / "shared" / "data" / "when2call_preference.jsonl"
CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}


def record(*chosen: dict[str, Any]) -> Record:
    return Record("id", [], list(chosen), [], None, "chat", "a.jsonl", 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Which city do you mean?", "ask"),
        ("Could you name the type of event? We have music and theatre.", "ask"),
        ('Do you mean "Oslo"? ', "ask"),
        ("¿Para qué ciudad?", "ask"),
        ("どの都市ですか\uff1f", "ask"),
        ("أي مدينة؟", "ask"),
        ("I can't tell without a city. Which one?", "ask"),
        ("Sure. Would you like one way or a return?", "ask"),
        ("I found the Fram, which lies in Oslo at berth 7. Would you like more details?", "answer"),
        ("I'm sorry, but I am unable to book flights for you. Is there anything else?", "decline"),
        ("'What is your name?' is 'Comment vous appelez-vous ?' in French", "answer"),
        ("I cannot book flights.", "decline"),
        ("I can\u2019t book flights.", "decline"),
        ("None of my tools can do that.", "decline"),
        ("I don't have a tool for that.", "decline"),
        ("Das kann ich leider nicht.", "decline"),
        ("Je ne peux pas réserver de vol.", "decline"),
        ("No puedo reservar vuelos.", "decline"),
        ("Não consigo reservar voos.", "decline"),
        ("Non posso prenotare voli.", "decline"),
        ("Ik kan geen vlucht boeken; dat is niet mogelijk.", "decline"),
        ("抱歉\uff0c我无法预订航班。", "decline"),
        ("申し訳ありませんが、予約できません。", "decline"),
        ("It rains in Oslo.", "answer"),
        ("It rains in Oslo. " * 20 + "You cannot see the ships.", "answer"),
        ("", "answer"),
        ("???", "ask"),
    ],
)
def test_a_text_asks_declines_or_answers(text: str, found: str) -> None:
    assert kind_of_text(text) == found


def test_an_answer_that_calls_is_a_call_and_one_that_cannot_be_read_too() -> None:
    assert kind(Parsed((Call("f", {}),), "Which city?")) == "call"
    assert kind(Parsed((), "<tool_call>{", "the call is not JSON")) == "call"
    assert kind(Parsed((), "Which city?")) == "ask"


def test_a_rows_kind_and_calls_are_those_of_the_first_message_of_its_chosen_answer() -> None:
    said = {"role": "assistant", "content": "Which city?"}
    called = {"role": "assistant", "content": "Which city?", "tool_calls": [CALL, CALL]}
    assert expected_kind(record(said, called)) == "ask" and expected_calls(record(said, called)) == ()
    assert expected_kind(record(called, said)) == "call"
    assert expected_calls(record(called, said)) == (Call("get_weather", {"city": "Oslo"}),) * 2
    assert expected_kind(record()) == "answer" and expected_calls(record()) == ()


def test_arguments_that_a_record_has_as_text_are_read() -> None:
    as_text = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    without = {"type": "function", "function": {"name": "g"}}
    message = {"role": "assistant", "content": "", "tool_calls": [as_text, without]}
    assert expected_calls(record(message)) == (Call("f", {"a": 1}), Call("g", {}))


def test_every_answer_of_the_quickstart_is_told_right() -> None:
    declines = [re.escape(text).replace(r"\{\}", ".*") for text in DECLINES]
    questions = {question for tool in TOOLS for slot in tool.slots for question in slot.questions}
    found: Counter[tuple[str, str]] = Counter()
    for line in DATA.read_text(encoding="utf-8").splitlines():
        for side in ("chosen_response", "rejected_response"):
            text = json.loads(line)[side]["content"]
            if not text.startswith("<TOOLCALL>"):
                declining = any(re.fullmatch(pattern, text) for pattern in declines)
                assert declining or text.endswith(tuple(questions))
                found["decline" if declining else "ask", kind_of_text(text)] += 1
    assert set(found) == {("decline", "decline"), ("ask", "ask")}


def test_real_answers_without_a_call_ask_or_decline_as_the_data_set_says() -> None:
    """Of When2Call's chosen answers those without a call ask for a missing argument, or say that no tool serves: a
    third of the rows each."""
    if not WHEN2CALL.exists():
        pytest.skip(f"{WHEN2CALL} is not here")
    chosen = [json.loads(line)["chosen_response"]["content"] for line in WHEN2CALL.read_text().splitlines()]
    found = Counter(kind_of_text(text) for text in chosen if not text.startswith("<TOOLCALL>"))
    assert found == {"ask": 201, "decline": 198}


@given(
    st.text() | st.lists(st.sampled_from(["?", ".", " ", "\n", "a", "B", '"', "。", "can't", "\uff1f"])).map("".join)
)
def test_every_text_has_a_kind(text: str) -> None:
    assert kind_of_text(text) in KINDS


@pytest.mark.parametrize("part", ["? ", "a", " ", "kann ", '"', "?\n", "no "])
def test_a_kind_is_told_in_proportion_to_the_text(part: str) -> None:
    assert growth.is_linear(lambda size: kind_of_text(part * size), 2_000)
