"""Pairs that Collect wrote, beside data of a layout that is named and that they do not have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.preprocess.options import Options
from steps.preprocess.preprocess import preprocess
from steps.shared.contract import StepError


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def collected(number: int) -> dict:
    message = {"role": "user", "content": f"said {number}"}
    answers = {side: [{"role": "assistant", "content": side}] for side in ("chosen", "rejected")}
    return {"prompt": [message], **answers, "provenance": {"rule": "correction"}}


def test_they_are_read_by_their_own_layout_and_counted_by_their_own_file(tmp_path: Path) -> None:
    write(tmp_path / "data/a.jsonl", [{"question": f"{n}", "chosen": "a", "rejected": "b"} for n in range(40)])
    write(tmp_path / "feedback/pairs.jsonl", [collected(number) for number in range(10)])
    options = Options(
        tmp_path / "data", tmp_path / "out", validation_fraction=0.3, feedback_data=tmp_path / "feedback",
        format="plain", columns={"prompt": "question"},
    )  # fmt: skip
    report = preprocess(options).as_json()

    assert report["files"] == {"a.jsonl": 40, "feedback:pairs.jsonl": 10}
    assert report["formats"] == {"plain": 40, "chat": 10} and report["reasons"] == {}
    assert report["unread"] == {}  # where a pair came from is for people
    assert report["feedback_data"] == "feedback"


def test_pairs_whose_reverse_stands_in_the_data_are_counted(tmp_path: Path) -> None:
    given = [collected(number) for number in range(90)]
    write(tmp_path / "data/a.jsonl", given)
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in given[:3]]
    write(tmp_path / "feedback/pairs.jsonl", [*turned, given[5], collected(199)])
    report = preprocess(Options(tmp_path / "data", tmp_path / "out", feedback_data=tmp_path / "feedback")).as_json()
    assert report["reasons"] == {"contradictory": 6} and report["feedback_contradictory"] == 3
    report = preprocess(Options(tmp_path / "data", tmp_path / "out2")).as_json()
    assert "feedback_contradictory" not in report


def test_none_of_them_is_no_error(tmp_path: Path) -> None:
    write(tmp_path / "data/a.jsonl", [{"prompt": f"{n}", "chosen": "a", "rejected": "b"} for n in range(40)])
    write(tmp_path / "feedback/pairs.jsonl", [])
    report = preprocess(Options(tmp_path / "data", tmp_path / "out", feedback_data=tmp_path / "feedback")).as_json()
    assert report["files"] == {"a.jsonl": 40, "feedback:pairs.jsonl": 0}


def test_given_data_by_the_name_of_such_pairs_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "data/feedback:a.jsonl", [collected(1)])
    with pytest.raises(StepError, match=r"feedback:a\.jsonl: the names of Collect's pairs begin with feedback:"):
        preprocess(Options(tmp_path / "data", tmp_path / "out"))
