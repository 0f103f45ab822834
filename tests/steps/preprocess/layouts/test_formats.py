"""Each layout: told from all others, and read into the same kind of pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.formats import FORMATS, Pair, by_name, detect, nearest
from steps.preprocess.layouts.scores import SCORES, preference_scores
from steps.preprocess.rows.notes import new_notes
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Layout, convert
from steps.shared.records import decode
from tests.paths import SAMPLES
from tests.steps.preprocess.turns import assistant, call, user

FILES = sorted(SAMPLES.iterdir())
NAMES = [layout.name for layout in FORMATS]


def rows_of(path: Path) -> list[dict]:
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


ROWS = [(path.stem, row) for path in FILES for row in rows_of(path)]


def sample(name: str) -> list[Pair]:
    path = next(path for path in FILES if path.stem == name)
    return [read(row) for row in rows_of(path)]


def read(row: dict) -> Pair:
    return detect(row).read(row, new_notes(keep_faulty_calls=False))


def test_every_layout_has_a_sample_that_is_told_from_all_others():
    assert {path.stem for path in FILES} == set(NAMES)
    for path in FILES:
        rows = rows_of(path)
        assert len(rows) >= 2
        assert {detect(row).name for row in rows} == {path.stem}
        assert all(by_name(path.stem).fits(row) for row in rows)


def test_the_samples_go_through_the_step_whole(run_step):
    report, records, quarantine = run_step(SAMPLES)
    assert report["formats"] == {path.stem: len(rows_of(path)) for path in FILES}
    assert (len(records), quarantine) == (report["rows"]["read"], [])


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_naming_the_layout_reads_a_row_as_recognising_it_does(name, row):
    raw = RawRow("file", 1, orjson.dumps(row))
    asked_for = convert(raw, Layout(by_name(name), strict=True), Rules())
    assert asked_for == convert(raw, Layout(None), Rules())
    assert decode(asked_for.record).format == name


def test_descriptions_fit_a_table_and_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)
    assert all("\n" not in layout.description and "|" not in layout.description for layout in FORMATS)
    assert all(by_name(name).name == name for name in NAMES)
    assert by_name("parquet") is None


def test_plain():
    first, second = sample("plain")
    assert first == ([user("Which planet is the largest?")], [assistant("Jupiter.")], [assistant("Mars.")])
    assert (second.prompt, second.chosen) == ([user("Größe von 2³?")], [assistant("8 👍")])


def test_chat():
    first, second = sample("chat")
    assert [message["role"] for message in first.prompt] == ["system", "user"]
    assert [message["content"] for message in second.prompt] == ["Hi", "Hello, how can I help?", "Name a prime."]
    assert (second.chosen, second.rejected) == ([assistant("7")], [assistant("9")])


def test_chat_answers_that_repeat_the_prompt_lose_it():
    prompt = [user("Hi")]
    pair = read({"prompt": prompt, "chosen": [*prompt, assistant("a")], "rejected": [*prompt, assistant("b")]})
    assert pair == (prompt, [assistant("a")], [assistant("b")])


def test_implicit_prompt():
    first, second = sample("implicit-prompt")
    assert first == ([user("Name a colour.")], [assistant("Blue.")], [assistant("Tuesday.")])
    assert second.prompt == [user("Hi"), assistant("Hello!"), user("Bye")]
    assert (second.chosen, second.rejected) == ([assistant("Goodbye!")], [assistant("No.")])


def test_implicit_prompt_where_one_conversation_begins_the_other():
    asked, called = user("q"), {"role": "assistant", "content": "", "tool_calls": [call("f")]}
    longer = [asked, called, {"role": "tool", "content": "r"}, assistant("a")]
    assert read({"chosen": longer, "rejected": longer[:2]}) == ([asked], longer[1:], [called])
    assert read({"chosen": longer[:2], "rejected": longer}) == ([asked], [called], longer[1:])


def test_ultrafeedback():
    first, second = sample("ultrafeedback")
    assert (first.prompt, first.chosen) == ([user("Define entropy.")], [assistant("A measure of disorder.")])
    assert (second.prompt, second.rejected) == ([user("Define enthalpy.")], [assistant("Heat.")])


@pytest.mark.parametrize("messages", ["chosen", "rejected"])
def test_a_text_may_stand_beside_an_answer_of_messages(messages):
    row = {"prompt": "Name a prime.", "chosen": "7", "rejected": "9"}
    row |= {messages: [assistant(row[messages])]}
    assert read(row) == Pair([user("Name a prime.")], [assistant("7")], [assistant("9")])


def test_ultrafeedback_as_it_is_published_with_a_messages_column_beside():
    whole = [user("q"), assistant("a")]
    row = {"prompt": "q", "prompt_id": "1", "chosen": whole, "rejected": [user("q"), assistant("b")], "messages": whole}
    assert detect(row).name == "ultrafeedback"
    assert read(row) == ([user("q")], [assistant("a")], [assistant("b")])


def test_sharegpt():
    first, second = sample("sharegpt")
    assert first.prompt == [{"role": "system", "content": "You are a teacher."}, user("What is 3 + 4?")]
    assert (first.chosen, first.rejected) == ([assistant("7")], [assistant("34")])
    assert second.prompt == [
        user("Weather in Oslo?"),
        {**assistant(""), "tool_calls": [call("get_weather", city="Oslo")]},
        {"role": "tool", "content": '{"celsius": -4}'},
    ]


def test_when2call_text_becomes_tool_calls():
    first, second, third = sample("when2call")
    assert first.chosen == [{**assistant(""), "tool_calls": [call("get_weather", city="Oslo")]}]
    assert second.chosen == [assistant("For which city?")]
    assert second.rejected == [{**assistant(""), "tool_calls": [call("get_forecast")]}]
    assert third == ([user("Book me a flight to Rome.")], [assistant("I cannot book flights.")], [assistant("Booked!")])


def test_openai():
    first, second = sample("openai")
    assert first.prompt == [{"role": "system", "content": "Be brief."}, user("Is it colder in Oslo or in Rome?")]
    calls = [{"id": f"call_{n}", **call("get_weather", city=city)} for n, city in ((1, "Oslo"), (2, "Rome"))]
    assert first.chosen == [{**assistant(""), "tool_calls": calls}]
    assert first.rejected == [assistant("In Oslo, I suppose.")]
    assert second.prompt[1:] == [
        {**assistant(""), "tool_calls": [{"id": "call_3", **call("get_weather", city="Oslo")}]},
        {"role": "tool", "content": '{"celsius": -4}', "tool_call_id": "call_3"},
    ]


@pytest.mark.parametrize("answer", [assistant("a"), [assistant("a")], "a"])
def test_openai_answers_may_be_a_list_or_a_message_or_a_text(answer):
    row = {"input": {"messages": [user("q")]}, "preferred_output": answer, "non_preferred_output": assistant("b")}
    assert read(row) == ([user("q")], [assistant("a")], [assistant("b")])


@pytest.mark.parametrize("names", SCORES)
def test_scores_are_read_where_both_are_numbers(names):
    better, worse = names
    assert preference_scores({better: 8, worse: "3.5"}) == (8.0, 3.5, names)
    for wrong in (None, "high", "nan", True, [8]):
        assert preference_scores({better: wrong, worse: 3.5}) is None
        assert preference_scores({better: 8, worse: wrong}) is None
    assert preference_scores({better: 8}) is None
    assert preference_scores({"prompt": "q"}) is None


def test_a_row_that_fits_no_layout_gets_the_one_whose_names_it_has():
    assert nearest({"prompt": "q", "chosen": "a"}, None).name == "plain"
    assert nearest({"chosen": "a", "rejected": "b"}, None).name == "plain"
    assert nearest({"chosen": "a", "rejected": None}, by_name("hh-rlhf")).name == "hh-rlhf"
    assert nearest({"prompt": [], "chosen": [], "rejected": None}, None).name == "chat"
    assert nearest({"messages": [], "chosen_response": "a"}, None).name == "when2call"
    assert nearest({"messages": "q"}, by_name("converse")).name == "converse"
    assert nearest({"input": {}, "preferred_output": "a"}, by_name("plain")).name == "openai"


FIELDS = sorted({name for layout in FORMATS for name in layout.fields} | {"system", "tools", "toolConfig"})
TEXTS = st.sampled_from(["", " ", "q", "\n\nHuman: q\n\nAssistant: a", '[{"role": "user", "content": "q"}]', "[{", "{"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner),
    max_leaves=4,
)


def hurt(value: Any, data: st.DataObject) -> Any:
    """A copy of a value in which something, at any depth, is taken out, renamed or replaced."""
    inside = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    if not inside or data.draw(st.integers(0, 3)) == 0:
        return data.draw(VALUES)
    key, entry = data.draw(st.sampled_from(inside))
    change = data.draw(st.sampled_from(["hurt", "hurt", "hurt", "drop", "twice"]))
    if isinstance(value, list):
        own = [hurt(entry, data)] if change == "hurt" else [entry] * (2 if change == "twice" else 0)
        return [*value[:key], *own, *value[key + 1 :]]
    rest = {name: value[name] for name in value if name != key}
    if change == "hurt":
        return {**value, key: hurt(entry, data)}
    return rest if change == "drop" else {**rest, f"{key}s": entry}


@given(st.sampled_from(ROWS), st.data())
def test_a_row_that_is_hurt_is_read_or_refused_in_words(named_row, data):
    name, row = named_row
    row = hurt(row, data)
    if isinstance(row, dict) and data.draw(st.booleans()):
        row[data.draw(st.sampled_from(FIELDS))] = data.draw(VALUES)
    raw = RawRow("file", 1, orjson.dumps(row))
    for layout in (Layout(None), Layout(by_name(name)), Layout(by_name(name), strict=True)):
        for policy in ("quarantine", "keep"):
            try:
                record = decode(convert(raw, layout, Rules(tool_calls=policy)).record)
            except InvalidRow as error:
                assert str(error)
            else:
                assert record.prompt and record.chosen and record.rejected and record.chosen != record.rejected


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_field_that_a_layout_does_not_know_is_counted_in_every_one_of_them(name, row):
    found = convert(RawRow("file", 1, orjson.dumps({**row, "a field of mine": 1})), Layout(None), Rules())
    assert (found.record.format, found.unread["a field of mine"]) == (name, 1)
    assert found.unread.keys() <= {*row, "a field of mine"} | {key for key in found.unread if "." in key}


LISTS = [(name, row) for name, row in ROWS if by_name(name).listed]


@pytest.mark.parametrize(("name", "row"), LISTS)
def test_what_stands_inside_a_list_of_answers_is_counted_too(name, row):
    lists = [field for field, value in row.items() if isinstance(value, list) and isinstance(value[0], dict)]
    for field in set(lists) - {"prompt", "context", "contents"}:
        changed = {**row, field: [{**entry, "of mine": 1} for entry in row[field]]}
        found = convert(RawRow("file", 1, orjson.dumps(changed)), Layout(None), Rules())
        assert found.unread[f"{field}[].of mine"] == 1
