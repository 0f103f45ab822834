"""Fields beside a layout's own: those with a meaning are read or refuse the row, all others are counted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.beside import HISTORIES, OF_THE_PROMPT, UNSUPPORTED
from steps.preprocess.layouts.scores import SCORES
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import Record, decode
from tests.steps.preprocess.turns import assistant, call, user

PLAIN = {"prompt": "Name a prime.", "chosen": "7", "rejected": "9"}
CHAT = {"prompt": [user("Name a prime.")], "chosen": [assistant("7")], "rejected": [assistant("9")]}
CALLED = {"messages": [user("Weather?")], "chosen_response": "For which city?", "rejected_response": "Sunny."}
TOOL = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
OTHER_TOOL = {**TOOL, "name": "g"}


def converted(row: dict[str, Any], **rules: Any) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), Layout(None), Rules(**rules))


def record(row: dict[str, Any], **rules: Any) -> Record:
    return decode(converted(row, **rules).record)


def refused(row: dict[str, Any], **rules: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        converted(row, **rules)
    return str(error.value.code), str(error.value)


@pytest.mark.parametrize("name", ["system", "system_prompt", "system_message", "system_instruction"])
@pytest.mark.parametrize("row", [PLAIN, CHAT])
def test_a_system_text_by_any_name_is_the_first_turn(name, row):
    assert record({name: "Answer in French.", **row}).prompt == [
        {"role": "system", "content": "Answer in French."},
        user("Name a prime."),
    ]


def test_two_system_texts_must_say_the_same():
    same = {**PLAIN, "system": "Be brief.", "system_prompt": "Be brief."}
    assert record(same).prompt[0]["content"] == "Be brief."
    code, said = refused({**same, "system_prompt": "Be rude."})
    assert (code, said) == (
        "prompt_mismatch",
        "system_prompt and the prompt's own system turn say different things",
    )


def test_the_sample_of_amazons_function_calling_recipe_keeps_its_system_text():
    row = {"system_prompt": "Call tools as JSON.", "prompt": "Weather in Oslo?", "ground_truth": "[f(city='Oslo')]",
           "chosen": "[f(city='Oslo')]", "rejected": "[f(city='Rome')]"}  # fmt: skip
    found = converted(row)
    assert decode(found.record).prompt == [{"role": "system", "content": "Call tools as JSON."}, user(row["prompt"])]
    assert found.unread == {"ground_truth": "[f(city='Oslo')]"}


def test_an_input_follows_the_instruction_on_the_next_line():
    assert record({**PLAIN, "input": "Below ten."}).prompt == [user("Name a prime.\nBelow ten.")]


@pytest.mark.parametrize("empty", ["", None, [], {}])
def test_an_empty_input_adds_nothing(empty):
    assert record({**PLAIN, "input": empty, "history": empty, "images": empty}).prompt == [user("Name a prime.")]


def test_an_input_that_the_prompt_has_already_is_not_repeated():
    row = {**PLAIN, "prompt": "Name a prime.\nInput: Below ten.", "input": "Below ten."}
    assert record(row).prompt == [user(row["prompt"])]
    assert record({**CHAT, "input": "Name a prime."}).prompt == CHAT["prompt"]


@pytest.mark.parametrize(("row", "value"), [(CHAT, "Below ten."), (PLAIN, ["Below ten."])])
def test_an_input_that_cannot_follow_the_prompt_refuses_the_row(row, value):
    code, said = refused({**row, "input": value})
    assert code == "unsupported_field"
    assert said.startswith("input: ") and "--ignore-field input (ignore_fields)" in said


@pytest.mark.parametrize(
    "history",
    [
        [["Name a planet.", "Venus"]],
        [user("Name a planet."), assistant("Venus")],
        '[["Name a planet.", "Venus"]]',
    ],
)
def test_a_history_comes_before_the_prompt_and_after_the_system(history):
    turns = [user("Name a planet."), assistant("Venus"), user("Name a prime.")]
    assert record({**PLAIN, "history": history}).prompt == turns
    assert record({**CHAT, "history": history, "system": "Be brief."}).prompt[1:] == turns
    assert record({**CHAT, "prompt": turns, "history": history}).prompt == turns


@pytest.mark.parametrize(
    ("history", "code", "said"),
    [
        ([["q"]], "wrong_type", "history[0] must be two texts, what the user and the assistant said"),
        ([["q", "a"], ["q", 1]], "wrong_type", "history[1] must be two texts, what the user and the assistant said"),
        ("earlier talk", "unsupported_field", "history: it is text; must be [question, answer] pairs or chat messages"),
        ("[{", "not_json", "history is a text that is not JSON: "),
    ],
)
def test_a_history_of_another_kind_refuses_the_row(history, code, said):
    found, message = refused({**PLAIN, "history": history})
    assert found == code and message.startswith(said)


@pytest.mark.parametrize("name", ["functions", "available_tools"])
def test_functions_are_tools(name):
    assert record({**CALLED, name: [TOOL]}).tools == [{"type": "function", "function": TOOL}]
    assert record({**CALLED, "tools": [TOOL], name: [TOOL]}).tools == [{"type": "function", "function": TOOL}]


def test_functions_and_tools_that_differ_refuse_the_row():
    assert refused({**CALLED, "tools": [TOOL], "functions": [OTHER_TOOL]}) == (
        "tools_invalid",
        "tools and functions declare different tools",
    )
    asked = {"messages": [user("q")], "tools": [TOOL]}
    row = {"input": asked, "preferred_output": "a", "non_preferred_output": "b", "tools": [OTHER_TOOL]}
    assert refused(row) == ("tools_invalid", "input.tools and tools declare different tools")
    older = {**row, "input": {"messages": [user("q")], "functions": [TOOL]}, "tools": None}
    assert record(older).tools == [{"type": "function", "function": TOOL}]


def test_tools_of_one_side_must_be_those_of_both():
    row = {**CALLED, "tools": [TOOL]}
    assert record({**row, "chosen_tools": [TOOL], "rejected_tools": [TOOL]}).tools
    code, said = refused({**row, "rejected_tools": [OTHER_TOOL]})
    assert (code, said) == (
        "unsupported_field",
        "rejected_tools: both answers must have the same tools; write them as tools; "
        "if it means nothing: --ignore-field rejected_tools (ignore_fields)",
    )


@pytest.mark.parametrize(
    "extra",
    [
        {"documents": [{"title": "t", "text": "7 is a prime."}]},
        {"context": "7 is a prime."},
        {"images": ["prime.png"]},
        {"video": {"path": "prime.mp4"}},
        {"initial_reason_steps": "Step 1:", "full_chosen": "7, of course", "full_rejected": "9, of course"},
    ],
)
@pytest.mark.parametrize("row", [PLAIN, CHAT, {**CALLED}])
def test_what_cannot_be_trained_on_refuses_the_row_unless_it_means_nothing(extra, row):
    name = next(iter(extra))
    code, said = refused({**row, **extra})
    assert code == "unsupported_field"
    assert said.startswith(f"{name}: ") and f"--ignore-field {name} (ignore_fields)" in said
    kept = converted({**row, **extra}, ignore_fields=(name,))
    assert decode(kept.record) == record(row)
    assert kept.unread == {other: extra[other] for other in extra if other != name}


def test_a_context_that_the_prompt_quotes_is_read():
    row = {**PLAIN, "prompt": "Oslo is the capital. What is?", "context": "Oslo is the capital.\n"}
    assert record(row).prompt == [user(row["prompt"])]


def test_a_word_that_is_in_the_prompt_by_chance_is_not_the_input_or_the_context():
    row = {"instruction": "Count the vowels of the given word.", "input": "word", "chosen": "1", "rejected": "2"}
    assert record(row).prompt == [user("Count the vowels of the given word.\nword")]
    assert record({**row, "instruction": "Count its vowels:\nword"}).prompt == [user("Count its vowels:\nword")]
    assert refused({**PLAIN, "prompt": "Which city, Oslo or Bergen?", "context": "Oslo"})[0] == "unsupported_field"
    assert refused({**PLAIN, "prompt": "What colour is the car?", "images": "car"})[0] == "unsupported_field"


def test_all_other_fields_are_counted_and_nulls_are_not():
    found = converted({"id": 3, **PLAIN, "meta": {"a": [1]}, "note": None, "score_chosen": 8, "score_rejected": 3})
    assert found.unread == {"id": 3, "meta": {"a": [1]}}
    assert found.scores == (8, 3)


def test_scores_that_are_no_numbers_are_counted_too():
    found = converted({**PLAIN, "score_chosen": "high", "score_rejected": "3"})
    assert (found.scores, found.unread) == (None, {"score_chosen": "high", "score_rejected": "3"})
    found = converted(
        {**PLAIN, "score_chosen": "high", "score_rejected": "3", "chosen_rating": 8, "rejected_rating": 3}
    )
    assert (found.scores, found.unread) == ((8, 3), {"score_chosen": "high", "score_rejected": "3"})


def test_what_a_column_replaces_is_counted():
    found = converted({**PLAIN, "question": "Name an even prime."}, columns={"prompt": "question"})
    assert decode(found.record).prompt == [user("Name an even prime.")]
    assert found.unread == {"prompt (replaced by question)": "Name a prime."}


def test_what_an_openai_input_has_besides_is_counted():
    asked = {"messages": [user("q")], "parallel_tool_calls": True, "tools": None}
    found = converted({"input": asked, "preferred_output": "a", "non_preferred_output": "b"})
    assert found.unread == {"input.parallel_tool_calls": True}


NAMES = sorted({*OF_THE_PROMPT, *UNSUPPORTED, *(name for pair in SCORES for name in pair), "id", "note", "messages",
                "conversations", "toolConfig", "schemaVersion", "completions", "winner", "label"})  # fmt: skip
ROWS = [PLAIN, CHAT, CALLED, {**CHAT, "prompt": "Name a prime."}, {"chosen": [user("q"), assistant("a")],
        "rejected": [user("q"), assistant("b")]}, {**CHAT, "chosen": [{**assistant(""), "tool_calls": [call("f")]}],
        "tools": [TOOL]}]  # fmt: skip


@given(st.sampled_from(ROWS), st.sets(st.sampled_from(NAMES), max_size=4))
def test_every_value_of_a_row_is_read_or_counted_or_the_row_has_a_reason(row, names):
    """Each value is a word of its own: one that is read stands in the record."""
    extra = {name: f"<{name}>" for name in names if name not in row}
    for name in ("functions", "available_tools"):
        if name in extra:
            extra[name] = [{**TOOL, "description": f"<{name}>"}]
    try:
        found = converted({**row, **extra})
    except InvalidRow as reason:
        assert str(reason)
        return
    said = b"".join((found.record.prompt, found.record.chosen, found.record.rejected, found.record.tools or b""))
    for name in extra:
        assert name in found.unread or f"<{name}>".encode() in said


PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}
ROUND = [["x", "y"]]


@pytest.mark.parametrize("name", HISTORIES)
def test_earlier_turns_by_any_name(name):
    found = converted({**PAIR, name: ROUND})
    assert decode(found.record).prompt == [user("x"), assistant("y"), user("q")]
    assert found.unread == {}
    with pytest.raises(InvalidRow, match=f"{name}: it is text; must be"):
        converted({**PAIR, name: "User: x"})


def test_two_histories_are_the_same_or_refuse_the_row():
    same = converted({**PAIR, "history": ROUND, "chat_history": ROUND})
    assert len(decode(same.record).prompt) == 3
    with pytest.raises(InvalidRow, match="history and chat_history say different things") as error:
        converted({**PAIR, "history": ROUND, "chat_history": [["z", "y"]]})
    assert error.value.code == "prompt_mismatch"


@pytest.mark.parametrize("name", ["systemPrompt", "sys_prompt"])
def test_a_system_text_by_more_names(name):
    assert decode(converted({**PAIR, name: "s"}).record).prompt[0] == {"role": "system", "content": "s"}


def test_the_system_text_in_openais_input():
    row = {"input": {"messages": [user("q")], "system": "s"}, "preferred_output": "a", "non_preferred_output": "b"}
    found = converted(row)
    assert decode(found.record).prompt == [{"role": "system", "content": "s"}, user("q")]
    assert found.unread == {}
    with pytest.raises(InvalidRow, match=r"input\.system and system say different things"):
        converted({**row, "system": "t"})


@pytest.mark.parametrize("name", ["available_functions", "tool_definitions"])
def test_tools_by_more_names(name):
    tool = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    found = converted({**PAIR, name: [tool]})
    assert (decode(found.record).tools[0]["function"]["name"], found.unread) == ("f", {})


@pytest.mark.parametrize("name", ["docs", "retrieved_documents", "img"])
def test_documents_and_images_by_more_names_refuse_the_row(name):
    with pytest.raises(InvalidRow, match=f"^{name}: ") as error:
        converted({**PAIR, name: ["not in the prompt"]})
    assert error.value.code == "unsupported_field"


@pytest.mark.parametrize("field", [{"documents": "[]"}, {"images": [None]}, {"context": {"a": None}}, {"docs": "{}"},
                                   {"chat_history": " [] "}, {"images": [{"path": None, "bytes": ""}]}])  # fmt: skip
def test_a_field_that_holds_nothing_means_nothing(field):
    found = converted({**PAIR, **field})
    assert (decode(found.record).prompt, found.unread) == ([user("q")], {})
