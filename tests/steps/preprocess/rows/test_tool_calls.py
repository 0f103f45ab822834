"""Arguments of calls by every name that people have for them; a field that nothing reads refuses the call."""

from __future__ import annotations

import pytest

from tests.steps.preprocess.converting import ASKED, TOOLS, arguments_of, calling, converted, record_of, refused

OSLO, ROME = {"city": "Oslo"}, {"city": "Rome"}
NO = [{"role": "assistant", "content": "No."}]


def row(chosen: list, rejected: list = NO) -> dict:
    return {"prompt": ASKED, "chosen": chosen, "rejected": rejected, "tools": TOOLS}


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "args": OSLO, "id": "c1", "type": "tool_call"},
        {"type": "tool_use", "id": "t", "name": "f", "input": OSLO},
        {"name": "f", "parameters": OSLO},
        {"name": "f", "args": '{"city": "Oslo"}'},
        {"type": "function", "function": {"name": "f", "parameters": OSLO}, "index": 0},
        {"name": "f", "arguments": OSLO, "parameters": OSLO, "input": None},
        {"name": "f", "arguments": OSLO, "function": None},
    ],
)
def test_arguments_are_read_by_any_of_their_names(call: dict) -> None:
    assert arguments_of(row(calling(call))) == [OSLO]


def test_pairs_that_differ_in_their_arguments_alone_are_pairs() -> None:
    given = row(calling({"name": "f", "args": OSLO}), calling({"name": "f", "args": ROME}))
    assert (arguments_of(given), arguments_of(given, "rejected")) == ([OSLO], [ROME])
    given = row(calling({"name": "f", "arguments": OSLO}), calling({"name": "f", "parameters": ROME}))
    assert converted(given).rejected_faults == [] and arguments_of(given, "rejected") == [ROME]


def test_two_names_whose_arguments_differ_are_malformed() -> None:
    call = {"name": "f", "arguments": OSLO, "input": ROME}
    assert refused(row(calling(call))) == (
        "tool_call_invalid",
        "chosen[0]: f is called with arguments and input, which differ",
    )


@pytest.mark.parametrize("key", ["kwargs", "params", "arg", "payload"])
def test_a_call_with_a_field_that_nothing_reads_is_malformed(key: str) -> None:
    call = {"name": "f", key: OSLO}
    said = f"chosen[0]: the call of f has {key}, which nothing reads; a call has a name and arguments"
    assert refused(row(calling(call))) == ("tool_call_invalid", said)
    kept = row(NO, calling(call))
    assert converted(kept).rejected_faults == ["malformed"]
    assert f'"{key}":{{"city":"Oslo"}}' in record_of(kept).rejected[0]["content"]


def test_calls_in_two_places_of_a_turn_must_be_the_same() -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": OSLO}
    turn = {"role": "assistant", "content": [{"type": "text", "text": "I look."}, block]}
    both = {**turn, "tool_calls": [{"name": "f", "args": OSLO, "id": "other"}]}
    assert arguments_of(row([both])) == [OSLO]
    differ = {**turn, "tool_calls": [{"name": "f", "args": ROME}]}
    assert refused(row([differ]))[1] == "chosen[0]: the turn has calls in two places, and they differ"


def test_what_services_write_beside_a_call_is_noted_as_unread() -> None:
    notes = record_of(row(calling({"index": 0, "id": 5, "function": {"name": "f", "arguments": OSLO}})))
    assert notes.chosen[0]["tool_calls"] == [{"type": "function", "function": {"name": "f", "arguments": OSLO}}]
