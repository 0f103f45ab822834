"""Whole numbers beyond 64 bits, which the parser rounds, refuse a row where they would be trained on."""

from __future__ import annotations

import pytest

from tests.steps.preprocess.converting import record_of, refused

BIG = "12345678901234567890123"
CALL = '{"role":"assistant","content":"","tool_calls":[{"name":"f","arguments":%s}]}'
ROW = '{"prompt":[{"role":"user","content":"Pay"}],"chosen":[%s],"rejected":"No.","tools":[%s]}'
TOOL = '{"name":"f","parameters":{"type":"object","properties":{"n":{"type":"integer"}}}}'


@pytest.mark.parametrize("number", [BIG, f"-{BIG}", "1" * 200, str(2**64)])
@pytest.mark.parametrize("arguments", ['{"n":%s}', '{"n":{"m":[1,%s]}}', '"{\\"n\\":%s}"'])
def test_a_number_that_would_be_rounded_refuses_the_row(number: str, arguments: str) -> None:
    code, said = refused(ROW % (CALL % (arguments % number), TOOL))
    assert code == "number_too_large" and f"a call of f holds {number}" in said


def test_a_schema_and_a_result_keep_no_such_number_either() -> None:
    schema = TOOL.replace('"integer"', f'"integer","maximum":{BIG}')
    assert refused(ROW % (CALL % "{}", schema))[0] == "number_too_large"
    turns = CALL % "{}" + f',{{"role":"tool","content":{{"id":{BIG}}}}},{{"role":"assistant","content":"x"}}'
    assert refused(ROW % (turns, TOOL)) == (
        "number_too_large",
        f"chosen[1].content holds {BIG}, which has more than 64 bits and would be rounded; write it as a text",
    )


@pytest.mark.parametrize("number", ["1e30", "123456789012345678901.5", str(2**64 - 1), str(-(2**63)), f'"{BIG}"'])
def test_floats_and_what_fits_stay_as_they_are(number: str) -> None:
    call = record_of(ROW % (CALL % f'{{"n":{number}}}', TOOL)).chosen[0]["tool_calls"][0]
    assert str(call["function"]["arguments"]["n"]) in (number.strip('"'), "1e+30", "1.2345678901234568e+20")


def test_such_a_number_where_nothing_reads_it_hurts_nobody() -> None:
    assert record_of(f'{{"prompt":"q","chosen":"a","rejected":"b","id":{BIG}}}').chosen[0]["content"] == "a"
