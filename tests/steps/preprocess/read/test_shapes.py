"""How a text holds its rows, and the shapes that are refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.preprocess.read.shapes import Shape, look_at
from steps.shared.contract import StepError

AS_ROWS = 'write it by rows: to_json(path, orient="records", lines=True)'
BY_COLUMNS = f"holds a table by columns, as DataFrame.to_json writes it by default; {AS_ROWS}"
ROW = {"prompt": "p", "chosen": "a", "rejected": "b"}

LONG = {"n": 1, "pairs": [{"note": "x" * 80_000}], "question": "q"}  # beyond what is looked at


def shape(text: str, name: str = "data.json", size: int = 2**16) -> Shape:
    data = text.encode()
    return look_at(name, Path(name), (data[at : at + size] for at in range(0, len(data), size))).shape


def columns(rows: int) -> dict[str, dict[str, str]]:
    return {name: {str(n): f"{name} {n}" for n in range(rows)} for name in ROW}


@pytest.mark.parametrize("size", [3, 2**16])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(ROW), Shape.LINES),
        (json.dumps(ROW) + "\n" + json.dumps(ROW) + "\n", Shape.LINES),
        (json.dumps(ROW) + " \n\n {", Shape.LINES),
        (json.dumps({**ROW, "data": [{"a": 1}]}), Shape.LINES),  # a row that calls a field so
        (json.dumps({"scores": {"0": 1}, **ROW}), Shape.LINES),
        (json.dumps({"data": [{"a": 1}]}) + "\n" + json.dumps({"data": [{"a": 1}]}), Shape.LINES),
        (json.dumps({"data": ["a"], "n": 1}), Shape.LINES),
        (json.dumps({name: [{"role": "user", "content": "x"}] for name in ROW}), Shape.LINES),
        (json.dumps(ROW)[:-1] + "\n" + json.dumps(ROW), Shape.LINES),  # a damaged row
        ('{"a": NaN}{"a": 1}', Shape.OBJECTS),
        (json.dumps(ROW) + json.dumps(ROW), Shape.OBJECTS),
        (json.dumps(ROW) + ",\n" + json.dumps(ROW), Shape.OBJECTS),
        (json.dumps(ROW, indent=1), Shape.OBJECTS),
        ('{ "a": 1,\n  "b": 2 }\n{ "a": 1,\n  "b": 2 }', Shape.OBJECTS),
        (json.dumps([ROW]), Shape.ARRAY),
        (json.dumps({"data": []}), Shape.WRAPPED),
        (json.dumps({"version": 1, "rows": [ROW]}, indent=1), Shape.WRAPPED),
        (json.dumps({"data": [ROW] * 3000}), Shape.WRAPPED),
    ],
)
def test_the_first_object_tells(text, expected, size):
    assert shape(text, size=size) is expected


@pytest.mark.parametrize("size", [10_007, 2**18])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{json.dumps(LONG)}\n{json.dumps(LONG)}\n", Shape.LINES),
        (f"{json.dumps(LONG)}\n\n{json.dumps(ROW)}", Shape.LINES),
        (json.dumps({**LONG, **ROW}), Shape.LINES),
        (json.dumps({**LONG, **ROW}) + "\n", Shape.LINES),
        (json.dumps(LONG), Shape.WRAPPED),
        ('{"pairs": [' + json.dumps(LONG) + ",\n" + json.dumps(LONG) + "]}", Shape.WRAPPED),
    ],
)
def test_a_first_object_that_is_longer_than_what_is_looked_at(text, expected, size):
    found = look_at("data.json", Path("d"), (text.encode()[at : at + size] for at in range(0, len(text), size)))
    assert (found.shape, b"".join(found.chunks)) == (expected, text.encode())


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(columns(3)), BY_COLUMNS),
        (json.dumps(columns(9000)), BY_COLUMNS),
        (json.dumps({str(n): ROW for n in range(3)}), BY_COLUMNS),
        (json.dumps({str(n): ROW for n in range(9000)}), BY_COLUMNS),
        (
            json.dumps({"columns": list(ROW), "index": [0], "data": [["p", "a", "b"]]}),
            f'holds a table with its names apart, as orient="split" writes it; {AS_ROWS}',
        ),
        (
            json.dumps({"columns": list(ROW), "index": [0], "data": [["p", "a", "b"]] * 9000}),
            f'holds a table with its names apart, as orient="split" writes it; {AS_ROWS}',
        ),
        (json.dumps({name: [[{"a": 1}], []] for name in ROW}), f"holds a table by columns, a list each; {AS_ROWS}"),
        (json.dumps({name: ["x", "y"] for name in ROW}), f"holds a table by columns, a list each; {AS_ROWS}"),
        (f"{ROW}\n{ROW}\n", "holds rows as Python prints them, {'prompt': …}, not JSON; write each with json.dumps"),
        (f"{[ROW, ROW]}", "holds rows as Python prints them, {'prompt': …}, not JSON; write each with json.dumps"),
        ("prompt,chosen,rejected\np,a,b\n", "begins like CSV, with names of columns and no JSON; call it .csv"),
        ('"prompt";"chosen"\np;a\n', "begins like CSV"),
    ],
)  # fmt: skip
def test_shapes_that_nobody_reads_are_named(name, text, said):
    with pytest.raises(StepError) as error:
        shape(text, name)
    assert str(error.value).startswith(f"{name}: {said}")


@pytest.mark.parametrize("first", ["{'prompt': 1}", "prompt", "nothing, known here!", "Loading data, please wait"])
def test_one_line_that_is_damaged_makes_no_other_shape(first):
    assert shape(first + "\n" + json.dumps(ROW), "data.jsonl") is Shape.LINES
