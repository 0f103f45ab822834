"""Messages as JSON texts in columns: decoded where they are messages, left alone where they are not."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.formats import by_name, detect
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Layout, convert
from steps.shared.records import Record, decode
from tests import growth

JSON_COLUMNS = by_name("json-columns")
PROMPT = [{"role": "user", "content": "q"}]
BETTER, WORSE = [{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "b"}]


def read(row: dict, layout: Layout | None = None) -> Record:
    return decode(convert(RawRow("file", 1, orjson.dumps(row)), layout or Layout(None), Rules()).record)


CANDIDATES = [
    {"content": [{"text": "a"}], "preferenceLabel": "preferred"},
    {"content": [{"text": "b"}], "preferenceLabel": "non-preferred"},
]
ROWS = {
    "chat": {"prompt": PROMPT, "chosen": BETTER, "rejected": WORSE},
    "implicit-prompt": {"chosen": PROMPT + BETTER, "rejected": PROMPT + WORSE},
    "ultrafeedback": {"prompt": "q", "chosen": PROMPT + BETTER, "rejected": PROMPT + WORSE},
    "sharegpt": {"conversations": [{"from": "human", "value": "q"}], "chosen": BETTER[0], "rejected": WORSE[0]},
    "when2call": {"messages": PROMPT, "chosen_response": BETTER[0], "rejected_response": WORSE},
    "openai": {"input": {"messages": PROMPT}, "preferred_output": BETTER, "non_preferred_output": WORSE},
    "converse": {
        "messages": [
            {"role": "user", "content": [{"text": "q"}]},
            {"role": "assistant", "candidates": CANDIDATES},
        ]
    },
}
TOOLS = [{"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}]


@given(st.sampled_from(sorted(ROWS)), st.data(), st.sampled_from(["", " ", "\n\t"]))
def test_a_row_means_the_same_whichever_of_its_columns_are_json(name, data, space):
    row = ROWS[name]
    nested = [field for field in row if not isinstance(row[field], str)]
    as_text = data.draw(st.lists(st.sampled_from(nested), min_size=1, unique=True))
    written = {field: space + json.dumps(value) if field in as_text else value for field, value in row.items()}
    assert detect(row).name == name
    assert detect(written) is JSON_COLUMNS
    record = read(written)
    assert (record.prompt, record.chosen, record.rejected) == (PROMPT, BETTER, WORSE)
    assert record.id == read(row).id


def test_tools_and_the_systems_text_come_along_from_whatever_column_has_them():
    chat = {name: json.dumps(value) for name, value in ROWS["chat"].items()}
    assert read({**chat, "tools": json.dumps(TOOLS), "system": "[Be brief]"}).tools[0]["function"]["name"] == "f"
    assert read({**chat, "system": "[Be brief]"}).prompt[0] == {"role": "system", "content": "[Be brief]"}
    openai = {**ROWS["openai"], "input": json.dumps({"messages": PROMPT, "tools": TOOLS})}
    assert read(openai).tools[0]["function"]["name"] == "f"
    spec = {"toolSpec": {"name": "f", "inputSchema": {"json": TOOLS[0]["parameters"]}}}
    converse = {
        "messages": json.dumps(ROWS["converse"]["messages"]),
        "system": json.dumps([{"text": "Be brief."}]),
        "toolConfig": json.dumps({"tools": [spec]}),
    }
    record = read(converse)
    assert (record.prompt[0]["content"], record.tools[0]["function"]["name"]) == ("Be brief.", "f")


@pytest.mark.parametrize(
    "text",
    [
        "[INST] is how a turn of Llama 2 begins",
        "[1, 2, 3]",
        "[] is an empty list",
        '{"city": "Oslo"}',
        '{"city": "Os',
        '[{"from": "Oslo", "to": "Rome"}]',
        '{"role": "manager", "salary": 5}',
        '["a", "b"]',
        "[" * 2000,
        "{",
    ],
)
def test_texts_that_merely_begin_with_a_bracket_stay_texts(text):
    plain = {"prompt": text, "chosen": f"{text} ", "rejected": "b"}
    assert detect(plain).name == "plain"
    assert read(plain, Layout(JSON_COLUMNS)).prompt == [{"role": "user", "content": text}]
    mixed = read({"prompt": json.dumps(PROMPT), "chosen": text, "rejected": "b"})
    assert (mixed.prompt, mixed.chosen) == (PROMPT, [{"role": "assistant", "content": text}])


def test_in_a_plain_file_and_on_request_json_is_a_text():
    row = {"prompt": json.dumps(PROMPT), "chosen": "a", "rejected": "b"}
    for layout in (Layout(by_name("plain")), Layout(by_name("plain"), strict=True)):
        assert read(row, layout).prompt == [{"role": "user", "content": row["prompt"]}]


CHAT = {name: json.dumps(value) for name, value in ROWS["chat"].items()}


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({**CHAT, "prompt": CHAT["prompt"][:-3]}, "not_json", "prompt is a text that is not JSON: "),
        ({**CHAT, "chosen": CHAT["chosen"] + "]"}, "not_json", "chosen is a text that is not JSON: "),
        ({**CHAT, "rejected": '[{"content": "b", "role'}, "not_json", "rejected is a text that is not JSON: "),
        ({**CHAT, "prompt": "[]"}, "empty_prompt", "the prompt has no turn of the user"),
        ({**CHAT, "chosen": "[]"}, "empty_response", "chosen is an empty list"),
        (
            {**CHAT, "prompt": '[{"role": "king", "content": "q"}]'},
            "unknown_role",
            "prompt[0] has the role 'king'; known: ",
        ),
        ({**CHAT, "prompt": '[{"content": "q"}]'}, "missing_field", "prompt[0] has no role; it has: content"),
        ({**CHAT, "chosen": '[{"role": "assistant"}]'}, "missing_field", "chosen[0] has no content; it has: role"),
        (
            {**CHAT, "prompt": '[{"role": "user", "content": "q"}, 5]'},
            "wrong_type",
            "prompt[1] is a number; must be a chat message",
        ),
        ({**CHAT, "rejected": None}, "empty_response", "rejected is null"),
        ({**CHAT, "rejected": 5}, "wrong_type", "rejected is a number, which the chat layout does not have"),
        ({**CHAT, "tools": "[{"}, "tools_invalid", "tools is a text that is not JSON: "),
        (
            {"messages": json.dumps([*PROMPT, *BETTER])},
            "missing_field",
            "messages[1], the last turn, has no candidates; it has: role, content",
        ),
    ],
)
def test_what_is_wrong_inside_a_column_is_named(row, code, message):
    with pytest.raises(InvalidRow) as error:
        read(row, Layout(JSON_COLUMNS))
    assert error.value.code == code
    assert str(error.value) == message or (message.endswith(" ") and str(error.value).startswith(message))


@pytest.mark.parametrize("text", [str(PROMPT), str(PROMPT[0]), "[{'content': 'q', 'role': 'user'}]"])
def test_messages_that_python_wrote_are_refused_and_not_trained_on_as_text(text):
    with pytest.raises(InvalidRow, match=r"it is Python's, write it with json\.dumps") as error:
        read({"prompt": text, "chosen": "a", "rejected": "b"})
    assert error.value.code == "not_json"


def test_a_layout_asked_for_that_the_row_does_not_have_is_said():
    with pytest.raises(InvalidRow) as error:
        read({"prompt": "q", "chosen": "a", "rejected": "b"}, Layout(JSON_COLUMNS, strict=True))
    assert str(error.value) == (
        "the row does not have the json-columns layout: "
        "any of these with its messages as JSON texts, as in CSV or Parquet columns"
    )


@pytest.mark.parametrize(("begins", "repeated", "ends"), [("", " ", "{x"), ("[", " ", "{x"), ("{", "\n", "x")])
def test_the_time_for_white_space_grows_with_it_and_no_faster(begins, repeated, ends):
    def call(size):
        text = begins + repeated * size + ends
        row = {"prompt": text, "chosen": "a", "rejected": "b"}
        assert read(row, Layout(JSON_COLUMNS)).prompt[0]["content"] == text

    assert growth.is_linear(call, 10_000)
