"""Messages with the answers beside them, as ms-swift and axolotl have them; and feedback that is no pair."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from steps.preprocess.layouts.formats import detect
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import ConvertedRow, Layout, convert
from steps.shared.records import Record, decode
from tests.steps.preprocess.turns import assistant, call, user

TALK = [user("Hi"), assistant("Hello!"), user("Name a prime."), assistant("7")]
TOOLS = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]
CALLS = {**assistant(""), "tool_calls": [call("f")]}
RESULT = {"role": "tool", "content": "r"}
BROKEN = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}


def converted(row: dict[str, Any], **rules: Any) -> ConvertedRow:
    return convert(RawRow("file", 1, orjson.dumps(row)), Layout(None), Rules(**rules))


def record(row: dict[str, Any], **rules: Any) -> Record:
    return decode(converted(row, **rules).record)


def refused(row: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        converted(row)
    return str(error.value.code), str(error.value)


def test_swifts_rejected_text_stands_against_the_last_answer():
    said = record({"messages": TALK, "rejected_response": "9"})
    assert (said.prompt, said.chosen, said.rejected) == (TALK[:3], [assistant("7")], [assistant("9")])
    row = {"messages": [user("q"), CALLS, RESULT, assistant("a")], "rejected_response": "b", "tools": TOOLS}
    said = record(row)
    assert (len(said.prompt), said.chosen, said.rejected) == (3, [assistant("a")], [assistant("b")])


def test_swifts_rejected_turns_replace_all_behind_the_last_user():
    row = {"messages": [user("q"), CALLS, RESULT, assistant("a")], "tools": TOOLS}
    for rejected in (
        {"rejected_response": [assistant("b")]},
        {"rejected_messages": [assistant("b")]},
        {"rejected_messages": [user("q"), assistant("b")]},
    ):
        said = record({**row, **rejected})
        assert (said.prompt, said.chosen[-1], said.rejected) == ([user("q")], assistant("a"), [assistant("b")])
        assert len(said.chosen) == 3


def test_swifts_two_conversations_part_where_they_differ():
    said = record({"messages": TALK, "rejected_messages": [*TALK[:3], assistant("9")]})
    assert (said.prompt, said.chosen, said.rejected) == (TALK[:3], [assistant("7")], [assistant("9")])
    code, message = refused({"messages": TALK, "rejected_messages": [user("Bye"), assistant("9")]})
    assert (code, message.startswith("chosen and rejected part at turn 1")) == ("prompt_mismatch", True)


@pytest.mark.parametrize("rejected", [{"rejected_response": BROKEN}, {"rejected_messages": [*TALK[:3], BROKEN]},
                                      {"rejected_messages": [BROKEN]}])  # fmt: skip
def test_a_malformed_call_in_swifts_rejected_answer_is_noted(rejected):
    assert converted({"messages": TALK, **rejected}).rejected_faults == ["malformed"]


def test_messages_that_end_with_the_user_have_no_chosen_answer():
    assert refused({"messages": TALK[:3], "rejected_response": "9"}) == (
        "missing_field",
        "chosen_response is missing (when2call layout); the row has: messages, rejected_response",
    )


@pytest.mark.parametrize(("chosen", "rejected"), [("7", "9"), (assistant("7"), assistant("9")),
                                                  ([assistant("7")], [assistant("9")])])  # fmt: skip
def test_axolotls_answers_to_messages(chosen, rejected):
    said = record({"messages": TALK[:3], "chosen": chosen, "rejected": rejected})
    assert (said.format, said.prompt, said.chosen, said.rejected) == (
        "axolotl", TALK[:3], [assistant("7")], [assistant("9")]
    )  # fmt: skip


def test_whole_conversations_beside_messages_are_not_axolotls():
    row = {"messages": TALK, "chosen": TALK, "rejected": [*TALK[:3], assistant("9")]}
    assert detect(row).name == "implicit-prompt"
    assert detect({**row, "prompt": "Name a prime."}).name == "ultrafeedback"


MESSAGES = {"messages": TALK}
AXOLOTL = {"messages": TALK[:3], "chosen": "7", "rejected": "9"}
CANDIDATES = [{"content": [{"text": said}], "preferenceLabel": label}
              for said, label in (("7", "preferred"), ("9", "non-preferred"))]  # fmt: skip
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "q"}]}, {"role": "assistant", "candidates": CANDIDATES}]}


@pytest.mark.parametrize(("chosen", "rejected"), [("7", "9"), ([assistant("7")], [assistant("9")])])
def test_a_prompt_of_its_own_comes_before_messages(chosen, rejected):
    found = converted({"prompt": "Name a prime.", "chosen": chosen, "rejected": rejected, **MESSAGES})
    said = decode(found.record)
    assert (said.prompt, said.chosen, found.unread) == ([user("Name a prime.")], [assistant("7")], MESSAGES)


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({**MESSAGES, "chosen": TALK, "rejected": [*TALK[:3], assistant("9")]}, "implicit-prompt"),
        ({**AXOLOTL, "prompt": "Name a prime."}, "plain"),
        (AXOLOTL, "axolotl"),
        ({**MESSAGES, "rejected_messages": [*TALK[:3], assistant("9")]}, "swift-messages"),
        ({**MESSAGES, "rejected_response": "9"}, "swift"),
    ],
)
@pytest.mark.parametrize("file", [AXOLOTL, CONVERSE])
def test_a_row_of_another_layout_in_a_file_of_messages_is_read_by_its_own(file, row, layout):
    data = RawRow("file", 1, orjson.dumps(row))
    assert decode(convert(data, Layout(detect(file)), Rules()).record).format == layout


@pytest.mark.parametrize(
    ("row", "answer", "label"),
    [
        ({"prompt": "q", "completion": "a", "label": True}, "completion", "label"),
        ({"prompt": "q", "completion": "a", "label": False}, "completion", "label"),
        ({"prompt": [user("q")], "completion": [assistant("a")], "label": True}, "completion", "label"),
        ({"messages": TALK, "kto_tag": True}, "messages", "kto_tag"),
        ({"messages": TALK, "label": False}, "messages", "label"),
        ({"conversations": TALK, "kto_tag": False}, "conversations", "kto_tag"),
        ({"instruction": "q", "input": "", "output": "a", "kto_tag": True}, "output", "kto_tag"),
        ({"prompt": "q", "response": "a", "thumbs": "up"}, "response", "thumbs"),
        ({"prompt": "q", "response": "a", "score": 4.5}, "response", "score"),
    ],
)
def test_one_sided_feedback_is_refused_as_what_it_is(row, answer, label):
    assert refused(row) == (
        "one_sided",
        f"one-sided feedback: one answer ({answer}) and its {label}, as for KTO; DPO needs a better and a worse one",
    )


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"prompt": "q", "completion": "a"}, "completion"),
        ({"prompt": "q", "response": "a", "helpfulness": 3, "correctness": 4}, "response"),
        ({"instruction": "q", "input": "", "output": "a"}, "output"),
        ({"messages": TALK}, "messages"),
        ({"conversations": TALK}, "conversations"),
    ],
)
def test_one_answer_alone_is_refused_as_what_it_is(row, answer):
    said = f"only one answer ({answer}), as for supervised fine-tuning; DPO needs a better and a worse one"
    assert refused(row) == ("one_sided", said)


def test_the_feedback_of_beavertails_is_one_sided():
    code, said = refused({"prompt": "q", "response": "a", "category": {}, "is_safe": False})
    assert code == "one_sided" and "one answer (response) and its is_safe" in said


@pytest.mark.parametrize("row", [{"messages": TALK[:3], "chosen_response": "a"}, {"messages": TALK[:3]},
                                 {"prompt": "q", "response": "a", "chosen": None, "rejected": None},
                                 {"prompt": "q", "response": "a", "response_a": "b"}])  # fmt: skip
def test_a_row_that_lacks_part_of_a_pair_is_not_taken_for_one_answer(row):
    assert refused(row)[0] != "one_sided"


def test_a_broken_pair_with_a_label_is_not_taken_for_one_sided_feedback():
    assert refused({"prompt": "q", "response": "x", "label": 1, "chosen": "a"})[0] == "missing_field"
