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
    assert refused(row(NO, calling(call))) == ("tool_call_invalid", said.replace("chosen", "rejected"))
    assert refused(row(calling(call)), tool_calls="keep") == ("tool_call_invalid", said)


@pytest.mark.parametrize("key", ["toolCalls", "tool_call", "function_calls"])
def test_calls_of_a_turn_are_read_by_any_of_their_names(key: str) -> None:
    call = {"name": "f", "arguments": OSLO}
    for given in (call, [call]):
        assert arguments_of(row([{"role": "assistant", "content": "x", key: given}])) == [OSLO]
        beside = {"role": "assistant", "content": "x", "additional_kwargs": {key: given, "refusal": None}}
        assert arguments_of(row([beside])) == [OSLO]
    differ = {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "args": ROME}], key: [call]}
    assert refused(row([differ]))[1] == "chosen[0]: the turn has calls in two places, and they differ"


def test_what_stands_beside_calls_in_additional_kwargs_is_noted_as_unread() -> None:
    beside: dict = {"tool_calls": [{"name": "f", "args": OSLO}]}
    turn = {"role": "assistant", "content": "x", "additional_kwargs": beside}
    assert converted(row([turn])).unread == {}
    beside["seed"] = 7
    assert converted(row([turn])).unread == {"chosen[].additional_kwargs": {"seed": 7}}


@pytest.mark.parametrize("key", ["tools", "functions"])
def test_tools_that_a_system_turn_declares_must_be_the_rows(key: str) -> None:
    system = {"role": "system", "content": "Be brief.", key: TOOLS}
    said = f"prompt[0].{key} declares tools that the row's own tools are not; write them as the row's tools"
    for tools in (None, [{"name": "g"}]):
        given = {**row(NO, [{"role": "assistant", "content": "a"}]), "prompt": [system, *ASKED], "tools": tools}
        assert refused(given) == ("tools_invalid", said)
    system[key] = [TOOLS[0]["function"]]
    assert record_of({**row(NO, [{"role": "assistant", "content": "a"}]), "prompt": [system, *ASKED]}).tools == TOOLS


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


def test_faulty_calls_name_some_of_many_tools_and_arguments() -> None:
    names = [f"n{number}" for number in range(40)]
    required = {"type": "object", "properties": {}, "required": names}
    tools = [{"name": name, "description": "", "parameters": required} for name in names]
    row = {"prompt": "Weather?", "rejected": "no", "tools": tools}
    some = ", ".join(names[:10])
    for name, said in (("g", f"the row's tools do not declare ({some}, …)"), ("n1", f"without its required {some}, …")):
        _, told = refused({**row, "chosen": calling({"name": name, "arguments": {}})})
        assert told.endswith(said)
