"""Pairs that Collect wrote, beside data of a layout that is named and that they do not have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.preprocess.options import Options
from steps.preprocess.preprocess import preprocess
from steps.shared.contract import StepError
from steps.shared.records import read_records


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
    assert report["feedback_drift"]["rows"] == {"feedback": 10, "others": 40}
    page = (tmp_path / "out/report/report.html").read_text()
    assert "10 rows come from what people said about answers, 40 from elsewhere." in page


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
    with pytest.raises(StepError, match=r"feedback:a\.jsonl: .* begin with feedback:"):
        preprocess(Options(tmp_path / "data", tmp_path / "out"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_canary_set_is_held_out_and_its_prompts_leave_given_data_and_feedback(tmp_path: Path, workers: int) -> None:
    given = [{"prompt": f"{n}", "chosen": "a", "rejected": "b"} for n in range(60)]
    write(tmp_path / "data/a.jsonl", given)
    write(tmp_path / "feedback/pairs.jsonl", [collected(number) for number in range(10)])
    canaries = [{"prompt": f"{n} ", "chosen": "c", "rejected": "d"} for n in range(5)]
    write(tmp_path / "canary.jsonl", [*canaries, {"prompt": "SAID 3", "chosen": "c", "rejected": "d"}])
    options = Options(
        tmp_path / "data", tmp_path / "out", validation_fraction=0.3, feedback_data=tmp_path / "feedback",
        canary=tmp_path / "canary.jsonl", workers=workers, max_invalid_fraction=0,
    )  # fmt: skip
    report = preprocess(options).as_json()

    assert report["reasons"] == {"leaked": 6} and report["canary"] == "canary.jsonl"
    train, validation = (read_records(tmp_path / "out" / side) for side in ("train", "validation"))
    assert {record.source_line for record in validation if record.of_canary} == {1, 2, 3, 4, 5, 6}
    assert len(validation) > 6 and not any(record.of_canary for record in train)
    prompts = {record.prompt[0]["content"].strip().lower() for record in train}
    assert prompts.isdisjoint({"0", "1", "2", "3", "4", "said 3"}) and len(train) + len(validation) == 70


def test_given_data_by_the_name_of_a_canary_set_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "data/canary:a.jsonl", [collected(1)])
    with pytest.raises(StepError, match=r"canary:a\.jsonl: the names of a canary set begin with canary:"):
        preprocess(Options(tmp_path / "data", tmp_path / "out"))
