"""Files as people have them: read to the right rows, or the step ends and names the file and why."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steps.preprocess.preprocess import Options, preprocess
from steps.shared.contract import StepError

ROWS = [{"prompt": f"Name prime {n}.", "chosen": f"{n}7", "rejected": f"{n}9"} for n in range(50)]
LATER = [{**row, "prompt": f"Another {row['prompt']}"} for row in ROWS]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 16200131\n"
AS_POINTER = "is a Git LFS pointer, not the data; fetch the data with git lfs pull, or with hf download"


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(separator: str, end: str = "\r\n") -> str:
    cells = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    return "".join(separator.join(row) + end for row in cells)


def saved(folder: Path) -> None:
    """As save_to_disk of datasets writes it."""
    folder.mkdir(parents=True)
    schema = pa.Table.from_pylist(ROWS).schema
    with pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(ROWS))
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    (folder / "dataset_info.json").write_text('{"features": {}}')


def binary_id(folder: Path) -> None:
    folder.mkdir(parents=True)
    ids = pa.array([bytes([255, 254, n]) for n in range(len(ROWS))])
    pq.write_table(pa.Table.from_pylist(ROWS).append_column("id", ids), folder / "d.parquet")


READ: dict[str, str | Callable[[Path], None]] = {
    "d.csv": table(","),
    "d.tsv": table("\t"),
    "semicolons.csv": table(";", "\n"),
    "tabs.csv": table("\t"),
    "save_to_disk": saved,
    "wrapped.json": json.dumps({"data": ROWS}),
    "wrapped.jsonl": json.dumps({"version": 2, "data": ROWS}),
    "firehose.json": "".join(map(json.dumps, ROWS)),
    "nan.jsonl": lines([{**row, "score": float("nan"), "weight": float("-inf")} for row in ROWS]),
    "parquet_binary_id": binary_id,
}


def write(path: Path, content: str | bytes | Callable[[Path], None]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(content):
        content(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", READ)
def test_shapes_that_people_have_are_read(tmp_path, run_step, name):
    report, records, quarantine = run_step(write(tmp_path / "in" / name, READ[name]))
    assert (report["rows"]["read"], report["reasons"], quarantine) == (50, {}, [])
    found = [(row.prompt[0]["content"], row.chosen[0]["content"], row.rejected[0]["content"]) for row in records]
    assert sorted(found) == sorted(tuple(row.values()) for row in ROWS)
    assert report["scores"]["rows"] == 0


def test_messages_in_a_table_are_read_as_messages(tmp_path, run_step):
    turns = [[{"role": "user", "content": f'Say "{n}, b"'}] for n in range(9)]
    cells = [json.dumps(prompt).replace('"', '""') for prompt in turns]
    text = "prompt,chosen,rejected\n" + "".join(f'"{cell}",yes,no\n' for cell in cells)
    _, records, _ = run_step(write(tmp_path / "d.csv", text))
    assert [(record.source_line, record.prompt) for record in records] == list(enumerate(turns, 2))


def failure(path: Path, output: Path, **options: Any) -> str:
    with pytest.raises(StepError) as error:
        preprocess(Options(path, output, **options))
    return str(error.value)


ARRAY = json.dumps(ROWS)
CUT = "the array has no closing ] where the file ends: the file was cut off, or its last row is damaged; copy the file"
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "pointer.jsonl": (POINTER, f": {AS_POINTER}"),
    "pointer.jsonl.gz": (POINTER, f": {AS_POINTER}"),
    "two_arrays.json": (ARRAY + json.dumps(LATER), ":1: text behind the end of the array: '[{\"prompt\": \"Another"),
    "two_arrays.json.gz": (gzip.compress((ARRAY + "\n" + ARRAY).encode()), ":2: text behind the end of the array"),
    "array_then_lines.json": (ARRAY + "\n" + lines(LATER), ":2: text behind the end of the array"),
    "array_cut_in_a_row.json": (ARRAY[:-20], f":1: {CUT}"),
    "array_cut_behind_a_comma.jsonl": (json.dumps(ROWS, indent=0)[:-60].rpartition("},")[0] + "},\n", f":247: {CUT}"),
    "page.jsonl": ("<!DOCTYPE html><html><body>Access denied</body></html>\n", ": is an HTML page, such as a login or"),
    "columns.json": (
        json.dumps({name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}),
        ': holds a table by columns, as DataFrame.to_json writes it by default; write it by rows: to_json(path, '
        'orient="records", lines=True)',
    ),
    "cut.parquet": (b"PAR1" + bytes(90), ": this Parquet file is damaged or was cut off ("),
    "wide.jsonl": (lines(ROWS).encode("utf-16"), ": is text in UTF-16; save it as UTF-8, such as with iconv"),
    "repr.jsonl": ("".join(f"{row}\n" for row in ROWS), ": holds rows as Python prints them, {'prompt': …}, not JSON"),
    "table.jsonl": (table(","), ": begins like CSV, with names of columns and no JSON; call it .csv, or .tsv if tabs"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_would_be_lost_ends_the_step_however_small_its_share(tmp_path, name):
    content, said = REFUSED[name]
    path = write(tmp_path / "in" / name, content)
    for n in range(9):
        write(tmp_path / "in" / f"good{n}.jsonl", lines([{**row, "chosen": f"{n}"} for row in ROWS]))
    assert failure(path.parent, tmp_path / "out").startswith(f"{path}{said}")
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"error": "not found"}', "line 1: prompt is missing"),
        ("no data, just words!", "line 1: invalid literal"),
        ("[[1, 2]]", "line 1: the row is a list; must be an object"),
    ],
)
def test_a_file_without_one_valid_row_is_named(tmp_path, row, said):
    write(tmp_path / "in" / "bad.jsonl", f"{row}\n{row}\n")
    write(tmp_path / "in" / "good.jsonl", lines(ROWS))
    told = failure(tmp_path / "in", tmp_path / "out").splitlines()
    assert told[0].startswith(f"{tmp_path}/in: bad.jsonl: none of its 2 rows is valid, e.g. {said}")
    assert told[-2] == "Fix them, or take them out of the data."
    assert told[-1] == f"The rows and their reasons: {tmp_path}/out/failed/quarantine.jsonl"
    preprocess(Options(tmp_path / "in", tmp_path / "out", validation_fraction=0.5, max_invalid_fraction=1))


def test_rows_that_others_keep_out_say_nothing_about_their_file(tmp_path, run_step):
    write(tmp_path / "in" / "a.jsonl", lines(ROWS))
    write(tmp_path / "in" / "b.jsonl", lines([{"prompt": "p", "chosen": "a", "rejected": "b"}]))
    write(tmp_path / "in" / "c.jsonl", lines([{"prompt": "p", "chosen": "b", "rejected": "a"}, *LATER]))
    report, _, _ = run_step(tmp_path / "in", max_invalid_fraction=0.1)
    assert report["reasons"] == {"contradictory": 2}


def test_names_that_tell_are_suggested_with_the_failure(tmp_path):
    rows = [{"question": row["prompt"], "good": row["chosen"], "bad": row["rejected"]} for row in ROWS]
    told = failure(write(tmp_path / "d.jsonl", lines(rows)), tmp_path / "out")
    options = "--column prompt=question --column chosen=good --column rejected=bad"
    assert f"\nIf these are the fields that their names say: {options}\n" in told


def test_all_splits_of_a_saved_data_set_are_read_and_the_summary_says_so(tmp_path):
    for split in ("train", "test"):
        saved(tmp_path / "in" / split)
    write(tmp_path / "in" / "dataset_dict.json", '{"splits": ["train", "test"]}')
    report = preprocess(Options(tmp_path / "in", tmp_path / "out"))
    said = "all splits were read: train, test; to keep them apart: --input …/train --validation-data …/test"
    assert said in report.summary()
    assert report.tally.read == 100
