"""Template arguments of a row: kept where they are its own, part of what it says, refused by name if they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.preprocess.options import Options
from steps.preprocess.preprocess import preprocess
from steps.shared.records import Record, read_records
from tests.steps.preprocess.converting import converted, record_of, refused

ASKED = [{"role": "user", "content": "Name a prime."}]
SILENT = {
    "prompt": ASKED,
    "chosen": [{"role": "assistant", "content": "7"}],
    "rejected": [{"role": "assistant", "content": "9"}],
    "chat_template_kwargs": {"enable_thinking": False},
}
HARMONY = {
    "prompt": ASKED,
    "chosen": [{"role": "assistant", "thinking": "7 has no divisors.", "content": "7"}],
    "rejected": [{"role": "assistant", "thinking": "9 is odd.", "content": "9"}],
    "chat_template_kwargs": {"reasoning_effort": "high", "model_identity": "You are T."},
}
PLAIN = {name: value for name, value in SILENT.items() if name != "chat_template_kwargs"}


def given(arguments: object) -> dict:
    return {**SILENT, "chat_template_kwargs": arguments}


def all_records(output: Path) -> list[Record]:
    rows = [record for side in ("train", "validation") for record in read_records(output / side)]
    return sorted(rows, key=lambda record: record.source_line)


def test_rows_as_data_of_2026_has_them_keep_their_arguments_and_their_reasoning(write_lines, tmp_path):
    rows = [SILENT, HARMONY, *({**PLAIN, "prompt": f"p{n}", "chosen": "7", "rejected": "9"} for n in range(40))]
    report = preprocess(Options(write_lines(rows), tmp_path / "out", max_invalid_fraction=0))
    silent, harmony, *others = all_records(tmp_path / "out")
    assert silent.chat_template_kwargs == {"enable_thinking": False}
    assert harmony.chat_template_kwargs == HARMONY["chat_template_kwargs"]
    assert [harmony.chosen[0]["reasoning_content"], harmony.rejected[0]["reasoning_content"]] == [
        "7 has no divisors.",
        "9 is odd.",
    ]
    assert {record.chat_template_kwargs for record in others} == {None}
    assert report.as_json()["rows_with_template_arguments"] == 2
    assert "  rendered with chat_template_kwargs of their own: 2 rows" in report.summary().splitlines()


@pytest.mark.parametrize("text", ['{"enable_thinking": false}', ' {"enable_thinking":false}'])
def test_arguments_may_be_a_json_text_as_a_table_has_them(text):
    assert record_of(given(text)) == record_of(SILENT)


@pytest.mark.parametrize("nothing", [None, {}, "{}", "null", "", {"enable_thinking": None}])
def test_arguments_that_say_nothing_are_none(nothing):
    assert record_of(given(nothing)) == record_of(PLAIN)
    assert converted(given(nothing)).unread == {}


def test_what_the_run_has_too_changes_nothing_and_is_not_kept():
    run = '{"enable_thinking": false, "date": "1 May"}'
    assert record_of(SILENT, chat_template_kwargs=run) == record_of(PLAIN)
    more = record_of(given({"enable_thinking": False, "effort": "low"}), chat_template_kwargs=run)
    assert more.chat_template_kwargs == {"effort": "low"}
    for other in (True, 0):
        assert record_of(given({"enable_thinking": other}), chat_template_kwargs=run).chat_template_kwargs == {
            "enable_thinking": other
        }


def test_ignored_arguments_are_not_kept():
    assert record_of(SILENT, ignore_fields=("chat_template_kwargs",)) == record_of(PLAIN)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([1], "wrong_type", "chat_template_kwargs is a list; must be an object"),
        (False, "wrong_type", "chat_template_kwargs is a boolean; must be an object"),
        ("[1]", "wrong_type", "chat_template_kwargs is a list; must be an object"),
        ("{", "not_json", "chat_template_kwargs is a text that is not JSON: "),
        ('{"a": 1, "a": 2}', "duplicate_keys", "chat_template_kwargs: an object has the key 'a' twice"),
        ({"tools": []}, "unsupported_field", "chat_template_kwargs: tools: is set by the training itself"),
        ({"chat_template": "x"}, "unsupported_field", "chat_template_kwargs: chat_template: is set by the training"),
        ({"range": 5}, "unsupported_field", "chat_template_kwargs: range: no template can read it"),
        ({"seed": 2**70}, "number_too_large", "chat_template_kwargs holds 1180591620717411303424"),
        ({"name": "a\0"}, "nul_byte", "a text holds a NUL character"),
        ({"name": {"share": float("nan")}}, "not_json", "NaN or Infinity in chat_template_kwargs"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_given_refuse_the_row_by_name(arguments, code, said):
    found, message = refused(given(arguments))
    assert found == code and message.startswith(said)


def test_rows_that_differ_in_their_arguments_alone_are_two_and_contradict_only_their_like(write_lines, tmp_path):
    turned = {**PLAIN, "chosen": PLAIN["rejected"], "rejected": PLAIN["chosen"]}
    others = [{**PLAIN, "prompt": f"p{n}", "chosen": "7", "rejected": "9"} for n in range(40)]
    for folder, extra, reasons in (("one", [turned], {}), ("two", [given({"enable_thinking": True}) | turned], {})):
        rows = [SILENT, SILENT, given({"enable_thinking": None, "effort": 1}), *extra, *others]
        report = preprocess(Options(write_lines(rows, f"{folder}.jsonl"), tmp_path / folder)).as_json()
        assert (report["reasons"], report["rows"]["duplicate"]) == (reasons, 1)
    rows = [SILENT, {**turned, "chat_template_kwargs": {"enable_thinking": False}}, *others]
    report = preprocess(Options(write_lines(rows, "three.jsonl"), tmp_path / "three", max_invalid_fraction=0.5))
    assert report.as_json()["reasons"] == {"contradictory": 2}
    kept = (tmp_path / "three" / "quarantine" / "quarantine.jsonl").read_text().splitlines()
    assert len(kept) == 2 and all("enable_thinking" in line for line in kept)
    assert pq_columns(tmp_path / "three" / "train") == pq_columns(tmp_path / "three" / "validation")


def pq_columns(folder: Path) -> set[str]:
    import pyarrow.parquet as pq

    return {name for path in folder.glob("*.parquet") for name in pq.read_schema(path).names}
