"""Other names of prompt, chosen and rejected: read where nothing else can be meant, and only there."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from steps.preprocess.layouts import synonyms
from steps.preprocess.layouts.synonyms import ANSWERS, PROMPTS
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import Record, decode
from tests.steps.preprocess.turns import assistant, user


def converted(row: dict[str, Any]) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), Layout(None), Rules())


def record(row: dict[str, Any]) -> Record:
    return decode(converted(row).record)


@pytest.mark.parametrize(("better", "worse"), ANSWERS)
@pytest.mark.parametrize("asked", ["prompt", *PROMPTS, "input"])
def test_prompts_and_answers_by_other_names(asked, better, worse):
    if asked == "input" and worse == "non_preferred_output":
        asked = "question"  # such answers beside an input are OpenAI's
    found = converted({asked: "Name a prime.", better: "7", worse: "9"})
    said = decode(found.record)
    assert (said.prompt, said.chosen, said.rejected) == ([user("Name a prime.")], [assistant("7")], [assistant("9")])
    assert (said.format, found.unread) == ("plain", {})


def test_an_alpaca_row_of_llama_factory():
    row = {"instruction": "Translate to German.", "input": "Good morning", "chosen": "Guten Morgen",
           "rejected": "Bonjour", "system": "Be brief.", "history": [["Translate to French.", "Oui"]]}  # fmt: skip
    assert record(row).prompt == [
        {"role": "system", "content": "Be brief."},
        user("Translate to French."),
        assistant("Oui"),
        user("Translate to German.\nGood morning"),
    ]


def test_a_question_as_chat_messages_with_answers_as_such():
    said = record({"question": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]})
    assert (said.prompt, said.format) == ([user("q")], "chat")


def test_a_field_that_is_null_is_no_other_reading():
    assert record({"prompt": None, "question": "q", "query": None, "chosen": "a", "rejected": "b"}).prompt == [
        user("q")
    ]


@pytest.mark.parametrize("beside", [{"prompt": "p"}, {"messages": [user("p")]}, {"conversations": [user("p")]}])
def test_the_own_names_come_first_and_the_other_is_counted(beside):
    found = converted({**beside, "question": "q", "chosen": "a", "rejected": "b"})
    assert decode(found.record).prompt == [user("p")]
    assert found.unread == {"question": "q"}


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ([user("p"), assistant("a")], [user("p"), assistant("b")]),
        ("\n\nHuman: p\n\nAssistant: a", "\n\nHuman: p\n\nAssistant: b"),
    ],
)
def test_whole_conversations_have_their_prompt_inside(chosen, rejected):
    found = converted({"question": "q", "chosen": chosen, "rejected": rejected})
    assert decode(found.record).prompt == [user("p")]
    assert found.unread == {"question": "q"}
    assert record({"input": "p", "chosen": chosen, "rejected": rejected}).format != "ultrafeedback"


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "instruction": "i", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "better": "a", "worse": "b", "winner": "c", "loser": "d"},
        {"prompt": "p", "better": "a"},
        {"question": "q", "better_response": "a"},
    ],
)
def test_what_may_be_read_in_two_ways_or_in_none_is_refused(row):
    with pytest.raises(InvalidRow) as error:
        converted(row)
    assert error.value.code == "missing_field"


def test_layouts_with_such_names_of_their_own_keep_them():
    when2call = {"messages": [user("q")], "chosen_response": "a", "rejected_response": "b"}
    openai = {"input": {"messages": [user("q")]}, "preferred_output": "a", "non_preferred_output": "b"}
    assert synonyms.read(when2call) == (when2call, {})
    assert synonyms.read(openai) == (openai, {})


def test_a_conversation_of_senders_and_texts_with_a_better_and_a_worse_answer():
    row = {"conversation": [{"sender": "user", "text": "Name a prime."}], "better": {"sender": "bot", "text": "7"},
           "worse": {"sender": "bot", "text": "9"}}  # fmt: skip
    said = record(row)
    assert (said.prompt, said.chosen, said.rejected) == ([user("Name a prime.")], [assistant("7")], [assistant("9")])


@pytest.mark.parametrize(("better", "worse"), [pair for pair in ANSWERS if pair[1] != "rejected_response"])
def test_answers_by_other_names_beside_messages(better, worse):
    found = converted({"messages": [user("Name a prime.")], better: "7", worse: "9"})
    said = decode(found.record)
    assert (said.prompt, said.chosen, said.rejected) == ([user("Name a prime.")], [assistant("7")], [assistant("9")])
    assert (said.format, found.unread) == ("axolotl", {})


@pytest.mark.parametrize("row", [{"messages": [user("q"), assistant("a")], "response": "x", "rejected_response": "b"},
                                 {"messages": [user("q"), assistant("a")], "better": "x", "worse": "y",
                                  "rejected_messages": [user("q"), assistant("b")]}])  # fmt: skip
def test_answers_called_as_ms_swifts_keep_their_names(row):
    assert synonyms.read(row) == (row, {})
    assert record(row).chosen == [assistant("a")]


def test_the_role_of_langchain():
    said = record({"messages": [{"role": "human", "content": "q"}], "chosen": {"role": "ai", "content": "a"},
                   "rejected": [{"role": "ai", "content": "b"}]})  # fmt: skip
    assert (said.prompt, said.chosen, said.rejected) == ([user("q")], [assistant("a")], [assistant("b")])


def test_a_conversation_as_json_text():
    turns = orjson.dumps([user("q"), assistant("a"), user("r")]).decode()
    said = record({"conversation": turns, "better": "7", "worse": "9"})
    assert (len(said.prompt), said.chosen, said.rejected) == (3, [assistant("7")], [assistant("9")])


ANSWER_FIELDS = [
    ({"response_0": "b", "response_1": "a", "better_response_id": 1}, "pku-saferlhf"),
    ({"response_1": "b", "response_2": "a", "preference_strength": 2}, "helpsteer2"),
    ({"response1": "b", "response2": "a", "overall_preference": 2}, "helpsteer3"),
    ({"response_a": "b", "response_b": "a", "winner": "model_b"}, None),  # by texts another than by chat messages
    ({"answer_0": "b", "answer_1": "a", "score_0": -1, "score_1": 1}, "two-scores"),
    ({"response_a": "b", "response_b": "a", "score_a": 1, "score_b": 5}, "two-scores"),
    ({"output1": "b", "output2": "a", "score1": "1", "score2": "5"}, "two-scores"),
    ({"completion_a": "b", "completion_b": "a", "score_a": 5, "score_b": 1, "choice": "B"}, "two-answers"),
    ({"responses": ["b", "a"], "scores": [1, 2]}, "scored-lists"),
    ({"responses": [{"text": "b", "score": 1}, {"text": "a", "score": 2}]}, "scored-answers"),
    ({"completions": [{"response": "b", "overall_score": 1}, {"response": "a", "overall_score": 2}]},
     "ultrafeedback-raw"),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "layout"), ANSWER_FIELDS)
@pytest.mark.parametrize(
    "asked",
    [*({name: "q"} for name in ("prompt", *PROMPTS, "input")), {"messages": [user("q")]}, {"conversation": [user("q")]},
     {"messages": orjson.dumps([user("q")]).decode()}],
)  # fmt: skip
def test_the_prompt_of_other_answers_by_any_name(asked, answers, layout):
    found = converted({**asked, **answers})
    said = decode(found.record)
    assert (said.prompt, said.chosen, said.rejected) == ([user("q")], [assistant("a")], [assistant("b")])
    assert layout is None or said.format in (layout, "json-columns")
    assert set(found.unread) <= {"score_a", "score_b"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "q", "better": " ", "worse": "b"}, "chosen (better) is empty"),
        ({"question": "q", "better": "a", "worse": "a"}, "chosen (better) and rejected (worse) are the same"),
        ({"question": " ", "chosen": "a", "rejected": "b"}, "turn 1 of the prompt (question), by the user, is empty"),
        ({"question": "q", "chosen_answer": 5, "rejected_answer": "b"}, "chosen (chosen_answer) is a number, "),
        ({"question": [user("q")], "better": [{"content": "x"}], "worse": "b"}, "better[0] has no role; it "),
    ],
)  # fmt: skip
def test_an_error_says_what_the_row_calls_its_fields(row, said):
    with pytest.raises(InvalidRow) as error:
        converted(row)
    assert str(error.value).startswith(said)


def test_what_nothing_reads_stands_where_the_row_has_it():
    row = {"question": "q", "better": [{**assistant("a"), "weight": 1}], "worse": [assistant("b")], "chosen_by": "me"}
    assert converted(row).unread == {"better[].weight": 1, "chosen_by": "me"}
