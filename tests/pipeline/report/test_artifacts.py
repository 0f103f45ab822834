"""The files that the page reads: the gate's, training's where the gate did not come so far, and none too early."""

from __future__ import annotations

import json

from pipeline.report import artifacts
from tests.pipeline.report import made


def test_files_come_from_the_gate_as_it_judged_them() -> None:
    steps = [made.step(name) for name in ("Champion", "Preprocess", "Train", "Gate")]
    found = artifacts.read(made.Source(made.files()), steps)
    assert found.report and found.champion and found.evaluation and found.history and found.gate
    assert (found.libraries, len(found.answers), found.manifest) == ("torch 2.13.0", 36, {"fingerprint": "4fd4a68d"})
    assert found.damaged == []


def test_where_the_gate_did_not_come_so_far_they_come_from_training() -> None:
    objects = {f"{made.MODEL}evaluation.json": b'{"rows": 1}', f"{made.MODEL}history.json": b"[]"}
    found = artifacts.read(made.Source(objects), [made.step("Train"), made.step("Gate", "Failed")])
    assert found.evaluation == {"rows": 1} and found.history == [] and found.gate is None and found.answers == []


def test_nothing_is_asked_of_steps_that_have_not_ended_well() -> None:
    source = made.Source(made.files())
    found = artifacts.read(source, [made.step("Train", "Executing"), made.step("Gate", "Failed")])
    assert source.asked == [] and found == artifacts.Artifacts()


def test_a_version_is_found_whether_a_step_or_a_job_registered_it() -> None:
    uri = f"{made.RUN}/RegisterMerged/registered/registered.json"
    by_job = made.Source({uri: json.dumps({"model_package_arn": made.PACKAGE}).encode()})
    assert artifacts.read(by_job, [made.step("RegisterMerged")]).package == made.PACKAGE
    by_step = artifacts.read(made.Source(), [made.step("RegisterAdapter", output=made.PACKAGE)])
    assert by_step.package == made.PACKAGE
    assert artifacts.read(made.Source({uri: b"{}"}), [made.step("RegisterMerged")]).package is None


def test_what_cannot_be_read_is_named_and_the_rest_is_there() -> None:
    base = f"{made.RUN}/Gate/decision"
    broken = {f"{base}/gate.json": b"[]", f"{base}/history.json": b"{}", f"{base}/answers.jsonl": b'{"a": 1}\n\xff'}
    found = artifacts.read(made.Source(made.files() | broken), [made.step("Train"), made.step("Gate")])
    assert found.evaluation and found.gate is None and found.history is None and found.answers == []
    assert sorted(said.partition(": ")[0] for said in found.damaged) == sorted(broken)


def test_a_page_that_needs_few_files_reads_no_others() -> None:
    source = made.Source(made.files())
    artifacts.read(source, [made.step("Preprocess"), made.step("Train"), made.step("Gate")], only=("gate.json",))
    assert source.asked == [f"{made.RUN}/Gate/decision/gate.json"]


def test_an_archive_is_not_read_as_a_folder(monkeypatch) -> None:
    monkeypatch.setattr(made, "MODEL", "s3://bucket/model.tar.gz")
    source = made.Source()
    assert artifacts.read(source, [made.step("Train")]).manifest is None and source.asked == []
