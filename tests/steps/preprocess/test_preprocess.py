"""The whole step: every row accounted for, duplicates, contradictions, the split, and what it leaves behind."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.layouts.formats import FORMATS
from steps.preprocess.preprocess import Options, preprocess
from steps.preprocess.read.sources import BLOCK_BYTES, Segment, plan
from steps.preprocess.shards.prompt_keys import prompt_key, validation_limit
from steps.shared.contract import StepError
from steps.shared.folders import sole_writer
from steps.shared.records import read_records
from tests.paths import SAMPLES, SHARED


def plain(prompt: object, chosen: object = "yes", rejected: object = "no") -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def counts(report: dict) -> tuple[int, ...]:
    rows = report["rows"]
    assert rows["read"] == rows["train"] + rows["validation"] + rows["duplicate"] + rows["quarantined"]
    assert sum(report["reasons"].values()) == rows["quarantined"]
    assert sum(report["files"].values()) == rows["read"]
    return rows["read"], rows["train"] + rows["validation"], rows["duplicate"], rows["quarantined"]


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    with sole_writer(tmp_path / "out"), pytest.raises(StepError, match="out: another run writes there now; wait until"):
        preprocess(Options(input=SAMPLES, output=tmp_path / "out"))


def test_files_without_a_row_are_told_among_others(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "b", "c", "d"):
        (data / f"{name}.jsonl").touch()
    rows = [plain(f"a question of its own {number}") for number in range(40)]
    (data / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = preprocess(Options(input=data, output=tmp_path / "out")).summary().splitlines()
    assert "  files without a row: a.jsonl, b.jsonl, c.jsonl and 1 more" in told


def test_a_folder_of_all_layouts(run_step):
    report, records, quarantine = run_step(SAMPLES)
    assert counts(report) == (61, 61, 0, 0)
    assert report["formats"] == {file.stem: report["files"][file.name] for file in SAMPLES.iterdir()}
    assert report["formats"].keys() == {layout.name for layout in FORMATS} == {record.format for record in records}
    assert report["rejected_calls"] == {"undeclared": 1}
    assert quarantine == []


def test_a_row_of_another_layout_is_read_by_its_own(write_lines, run_step):
    odd = {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"}, "rejected": "b"}
    report, records, _ = run_step(write_lines([plain("1"), odd, plain("2"), plain("3")]))
    assert report["formats"] == {"plain": 3, "sharegpt": 1}
    assert records[1].format == "sharegpt"


def test_a_named_format_reads_all_rows_or_none(write_lines, run_step):
    rows = [plain(str(n)) for n in range(8)]
    chat = {"prompt": [{"role": "user", "content": "q"}], "chosen": "a", "rejected": "b"}
    report, _, quarantine = run_step(write_lines([*rows, chat]), format="plain")
    assert counts(report) == (9, 8, 0, 1)
    assert quarantine[0]["message"] == "prompt is a list, which the plain layout does not have"


def test_quarantine_says_where_why_and_what(write_lines, run_step):
    broken = '{"prompt": "x", '
    report, _, quarantine = run_step(write_lines([plain("1"), broken, plain("2", None), plain("3"), plain("4")]))
    assert counts(report) == (5, 3, 0, 2)
    first, second = quarantine
    assert (first["file"], first["line"], first["code"], first["raw"]) == ("data.jsonl", 2, "not_json", broken.strip())
    assert second == {
        "file": "data.jsonl",
        "line": 3,
        "code": "empty_response",
        "message": "chosen is null",
        "raw": json.dumps(plain("2", None)),
    }
    example = {"file": "data.jsonl", "line": 3, "message": "chosen is null", "raw": json.dumps(plain("2", None))}
    assert report["examples"]["empty_response"] == [example]


def test_invalid_bytes_are_quarantined_and_readable_there(tmp_path, run_step):
    rows = [json.dumps(plain(str(n))).encode() for n in range(8)]
    rows += [b'{"prompt": "caf\xe9", "chosen": "a", "rejected": "b"}', b'{"prompt": "\0", "chosen": "a"}']
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(rows))
    report, _, quarantine = run_step(tmp_path / "data.jsonl")
    assert report["reasons"] == {"invalid_utf8": 1, "nul_byte": 1}
    assert quarantine[0]["message"] == "not UTF-8 at byte 15 of the row"
    assert quarantine[0]["raw"] == '{"prompt": "caf\\xe9", "chosen": "a", "rejected": "b"}'


def test_null_never_becomes_the_text_none(write_lines, run_step):
    chat = [{"role": "user", "content": "q"}]
    nulls = [
        plain("a", None),
        plain("b", "yes", None),
        plain(None),
        plain(chat, [{"role": "assistant", "content": None}]),
        {"messages": chat, "chosen_response": {"role": "assistant", "content": None}, "rejected_response": "x"},
        {"conversations": [{"from": "human", "value": None}], "chosen": "a", "rejected": "b"},
    ]
    report, records, _ = run_step(write_lines([*nulls, *(plain(f"good {n}") for n in range(6))]))
    assert report["reasons"] == {"empty_response": 4, "empty_prompt": 2}
    assert "None" not in json.dumps([record.__dict__ for record in records])


def test_duplicates_count_once_whatever_layout_and_key_order_they_come_in(write_lines, run_step):
    same = [
        plain("q"),
        dict(reversed(plain("q").items())),
        {"prompt": [{"role": "user", "content": "q"}], "chosen": "yes", "rejected": "no"},
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "yes"},
            "rejected": "no",
        },
    ]
    report, records, _ = run_step(write_lines([*same, *(plain(f"other {n}") for n in range(6))]))
    assert counts(report) == (10, 7, 3, 0)
    assert records[0].source_line == 1


def test_a_pair_and_its_reverse_are_both_quarantined(write_lines, run_step):
    rows = [
        plain("q"),
        *(plain(f"other {n}") for n in range(6)),
        plain("q", "no", "yes"),
        plain("q"),
        plain("q", "yes", "x"),
    ]
    report, records, quarantine = run_step(write_lines(rows))
    assert counts(report) == (10, 7, 1, 2)
    assert sorted((entry["line"], entry["code"]) for entry in quarantine) == [
        (1, "contradictory"),
        (8, "contradictory"),
    ]
    assert 1 not in {record.source_line for record in records}
    again, _, _ = run_step(write_lines([json.loads(entry["raw"]) for entry in quarantine][:1] + rows[1:7]))
    assert counts(again) == (7, 7, 0, 0)  # what stands in quarantine can be fed again


def test_a_prompt_is_on_one_side_only_however_it_is_typed(write_lines, tmp_path):
    prompts = [f"Question number {n}" for n in range(40)]
    typed = [change(prompt) for prompt in prompts for change in (str, str.upper, lambda text: f"  {text}\n")]
    path = write_lines([plain(prompt, f"yes {n}") for n, prompt in enumerate(typed)])
    preprocess(Options(path, tmp_path / "out", validation_fraction=0.5))
    sides = [
        {record.prompt[0]["content"].strip().lower() for record in read_records(tmp_path / "out" / name)}
        for name in ("train", "validation")
    ]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {prompt.lower() for prompt in prompts}


def test_rows_keep_their_side_when_data_is_added_and_a_larger_fraction_only_adds(write_lines, run_step):
    rows = [plain(f"prompt {n}") for n in range(200)]
    _, few, _ = run_step(write_lines(rows[:100]))
    _, many, _ = run_step(write_lines(rows[100:] + rows[:100]))
    keys = {record.id: prompt_key(record.prompt) for record in many}
    assert {record.id: prompt_key(record.prompt) for record in few}.items() <= keys.items()
    limits = [validation_limit(fraction) for fraction in (0.1, 0.3, 0.9)]
    held = [{id for id, key in keys.items() if key < limit} for limit in limits]
    assert held[0] < held[1] < held[2]
    assert 8 <= len(held[0]) <= 35  # a tenth of 200, give or take


def test_the_data_hash_is_that_of_the_rows_and_not_of_their_files(write_lines, run_step, tmp_path):
    rows = [plain(f"prompt {n}") for n in range(20)]
    one, _, _ = run_step(write_lines(rows, "one/all.jsonl").parent)
    write_lines(rows[10:], "two/a.jsonl")
    two, _, _ = run_step(write_lines(reversed(rows[:10]), "two/z/b.jsonl").parents[1])
    less, _, _ = run_step(write_lines(rows[1:], "three/all.jsonl"))
    assert one["data_hash"] == two["data_hash"] != less["data_hash"]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        shutil.copytree(SAMPLES, tmp_path / name / "in")
        preprocess(Options(tmp_path / name / "in", tmp_path / name / "out", validation_fraction=0.4))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == len(list(SAMPLES.iterdir())) + 6
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


@pytest.mark.parametrize("shard_bytes", [100, 3000])
def test_the_account_does_not_depend_on_how_the_rows_are_cut_into_shards(tmp_path, write_lines, shard_bytes):
    rows = [plain(f"p{n % 60}", f"yes {n % 90}", "no") for n in range(200)]  # equal rows, far from each other
    rows += [plain("p3", "no", "yes 3"), plain("q", None), plain("P60", "x" * 5000)]
    for number, part in enumerate((rows[:150], rows[150:])):
        write_lines(part, f"in/{number}.jsonl")
    with gzip.open(tmp_path / "in" / "2.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows[::-3])
    shutil.copytree(SAMPLES, tmp_path / "in" / "samples")
    written = []
    for size, name in ((BLOCK_BYTES, "whole"), (shard_bytes, "cut")):
        options = Options(tmp_path / "in", tmp_path / name, validation_fraction=0.3, shard_bytes=size)
        preprocess(options)
        report = json.loads((options.output / "report" / "report.json").read_text())
        sides = [read_records(options.output / side) for side in ("train", "validation")]
        quarantine = sorted((options.output / "quarantine" / "quarantine.jsonl").read_text().splitlines())
        written.append((report, sides, quarantine))
    assert counts(report)[2] > 80
    assert report["reasons"] == {"contradictory": 2, "empty_response": 1}
    assert written[0] == written[1]
    assert len(list((tmp_path / "cut" / "train").iterdir())) > 5


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(sorted(path.name for path in SAMPLES.iterdir())),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 2)), max_size=6),
    st.sampled_from([50, 700, BLOCK_BYTES]),
)
def test_mutated_files_give_neither_a_traceback_nor_a_lost_row(tmp_path_factory, name, mutations, shard_bytes):
    """A byte replaced, inserted or removed anywhere: each line is still accounted for, wherever shards begin; or
    the step names the file, such as one array that has no end any more."""
    folder = tmp_path_factory.mktemp("mutated")
    path = folder / "in" / name
    path.parent.mkdir()
    data = bytearray((SAMPLES / path.name).read_bytes())
    for place, byte, how in mutations:
        place %= len(data)
        data[place : place + (how != 1)] = bytes([byte] * (how != 2))
    path.write_bytes(data)
    (path.parent / "good.jsonl").write_text("".join(json.dumps(plain(f"good {n}")) + "\n" for n in range(8)))
    options = Options(path.parent, folder / "out", 0.5, max_invalid_fraction=1, shard_bytes=shard_bytes)
    try:
        preprocess(options)
    except StepError as error:
        assert str(error).startswith(f"{path}:")
        assert not (folder / "out" / "report").exists()
        return
    report = json.loads((folder / "out" / "report" / "report.json").read_text())
    counts(report)
    if all(isinstance(source, Segment) for source in plan([(name, path)])):
        text = bytes(data).removeprefix(b"\xef\xbb\xbf")
        assert report["files"][path.name] == sum(bool(line.strip(b" \t\r\n")) for line in text.split(b"\n"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_json_at_all_is_accounted_for(tmp_path_factory, data):
    texts = st.sampled_from(
        ["q", "a", "b", "", "None", "<TOOLCALL>[", "user", "assistant", "gpt", "tool_call", "dict", "\0"]
    )
    keys = ["prompt", "chosen", "rejected", "messages", "chosen_response", "rejected_response", "conversations"]
    keys += ["role", "content", "from", "value", "tools", "tool_calls", "function", "name", "arguments", "parameters"]
    keys += ["system", "type", "properties", "required", "items"]
    leaves = texts | st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=True)
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner), max_leaves=12
    )
    rows = data.draw(st.lists(st.dictionaries(st.sampled_from(keys[:7]), values) | values, min_size=1, max_size=8))
    folder = tmp_path_factory.mktemp("any")
    good = [plain(f"good {n}") for n in range(8)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*good, *rows]))
    options = Options(folder / "data.jsonl", folder / "out", validation_fraction=0.5, max_invalid_fraction=1)
    assert preprocess(options).tally.read == len(rows) + 8
    records = [*read_records(folder / "out" / "train"), *read_records(folder / "out" / "validation")]
    assert all(record.chosen and record.rejected and record.prompt for record in records)


def failure(path: Path, output: Path, **options) -> str:
    with pytest.raises(StepError) as error:
        preprocess(Options(path, output, **options))
    return str(error.value)


def test_too_many_invalid_rows_fail_with_reasons_and_leave_what_to_read(write_lines, tmp_path):
    path = write_lines([plain("q", None), plain("r", None), "{", *(plain(f"good {n}") for n in range(7))])
    output = tmp_path / "out"
    assert failure(path, output) == (
        f"{path}: 3 of 10 rows (30.0%) are invalid; 10.0% are allowed\n"
        "  2 empty_response, e.g. data.jsonl:1: chosen is null\n"
        "  1 not_json, e.g. data.jsonl:3: unexpected end of data: line 1 column 2 (char 1) (byte 1 of the row)\n"
        "Fix them, or raise --max-invalid-fraction.\n"
        f"The rows and their reasons: {output}/failed/quarantine.jsonl"
    )
    assert sorted(file.relative_to(output).as_posix() for file in output.rglob("*")) == [
        "failed",
        "failed/ids",
        "failed/ids/part-00000.parquet",
        "failed/quarantine.jsonl",
        "failed/report.html",
        "failed/report.json",
    ]
    assert len((output / "failed" / "quarantine.jsonl").read_text().splitlines()) == 3
    preprocess(Options(path, output, validation_fraction=0.5, max_invalid_fraction=0.3))
    assert sorted(file.name for file in output.iterdir()) == ["quarantine", "report", "train", "validation"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation_fraction": 0.0}, "--validation-fraction 0.0: must be above 0 and below 1"),
        ({"validation_fraction": 1.0}, "--validation-fraction 1.0: must be above 0 and below 1"),
        ({"validation_fraction": float("nan")}, "--validation-fraction nan: must be above 0 and below 1"),
        ({"max_invalid_fraction": 1.5}, "--max-invalid-fraction 1.5: must be from 0 to 1"),
        (
            {"format": "plan"},
            f"--format plan: unknown layout; known: {', '.join(layout.name for layout in FORMATS)}",
        ),
    ],
)
def test_options_out_of_range_are_named(write_lines, tmp_path, options, said):
    assert failure(write_lines([plain("q")]), tmp_path / "out", **options) == said
    assert not (tmp_path / "out").exists()


def test_a_missing_path_an_empty_set_and_an_empty_side_are_one_clear_error(write_lines, tmp_path):
    output = tmp_path / "out"
    missing = tmp_path / "none.jsonl"
    assert (
        failure(missing, output)
        == f"{missing}: no such file or folder; --input must name a data file or a folder of them"
    )
    empty = write_lines([], "empty.jsonl")
    assert failure(empty, output) == f"{empty}: the data set is empty: no rows in empty.jsonl"
    one = write_lines([plain("q")])
    for side, fraction, change in (("validation", 0.01, "raise"), ("train", 0.99, "lower")):
        said = f"{one}: no row falls to {side} at --validation-fraction {fraction} (1 read, 0 quarantined)"
        assert failure(one, output, validation_fraction=fraction) == f"{said}; {change} it, or add rows"
    assert list(output.rglob("report.json")) == [output / "failed" / "report.json"]


def test_an_earlier_output_is_never_overwritten_nor_read_as_input(write_lines, tmp_path):
    path = write_lines([plain(f"prompt {n}") for n in range(20)], "in/data.jsonl")
    preprocess(Options(path, tmp_path / "out", validation_fraction=0.5))
    said = f"{tmp_path}/out: train/ is not empty; give another --output, or remove the earlier output first"
    assert failure(path, tmp_path / "out", validation_fraction=0.5) == said
    inside = path.parent / "out"
    said = f"--output {inside}: lies in {path.parent}, which it would add to; give another folder"
    assert failure(path.parent, inside) == said


def test_folders_that_are_there_are_filled_links_and_mounts_too(write_lines, tmp_path):
    path = write_lines([plain(f"prompt {n}") for n in range(20)])
    output = tmp_path / "out"
    for name in ("validation", "quarantine", "report"):
        (output / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (output / "train").symlink_to(tmp_path / "elsewhere")  # cannot be renamed over, like a mount point
    preprocess(Options(path, output, validation_fraction=0.5))
    assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == ["part-00000.parquet"]
    assert len(read_records(output / "train")) + len(read_records(output / "validation")) == 20
    assert not list(output.glob(".*"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("when2call_preference.jsonl", (600, 597, 0, 3)), ("sharegpt_preference_en.json", (300, 295, 5, 0))],
)
def test_real_data_is_accounted_for(run_step, name, expected):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    report, records, quarantine = run_step(path, validation_fraction=0.1)
    assert counts(report) == expected
    assert report["rows"]["validation"] > 0
    assert "<TOOLCALL>" not in json.dumps([record.__dict__ for record in records])
    schemas = [tool["function"]["parameters"] for record in records for tool in record.tools or []]
    assert {kind for schema in schemas for kind in types(schema)} <= {
        *("object", "string", "integer", "number", "boolean", "array")
    }
    calls = [record for record in records if "tool_calls" in record.chosen[0]]
    assert len(calls) == (198 if "when2call" in name else 0)
    assert {entry["code"] for entry in quarantine} <= {"tool_call_invalid"}


def types(schema: dict) -> list[str]:
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return [*([schema["type"]] if "type" in schema else []), *(kind for entry in inner for kind in types(entry))]


@pytest.mark.parametrize("held_out", [2, 3])
def test_fewer_held_out_rows_than_are_asked_for_end_the_step_before_training(write_lines, tmp_path, held_out):
    data = write_lines([plain(f"prompt {n}") for n in range(20)])
    other = write_lines([plain(f"other {n}") for n in range(held_out)], "other/held.jsonl")
    options = {"validation_data": other, "min_validation_rows": 3}
    if held_out == 3:
        assert preprocess(Options(data, tmp_path / "out", **options)).figures.validation == 3
        return
    said = failure(data, tmp_path / "out", **options)
    assert said == (
        f"{data}: 2 rows are held out, too few to judge a model by: at least 3 are needed. Add rows, hold out more "
        "data, or lower --min-validation-rows."
    )
    page = (tmp_path / "out" / "failed" / "report.html").read_text()
    assert "2 rows are held out, too few to judge a model by: 3 are needed" in page
