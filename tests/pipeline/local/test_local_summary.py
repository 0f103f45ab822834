"""What an execution's summary says of the version that it registered."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pipeline.local.state.records import Execution, StepRecord
from pipeline.local.state.store import Store
from pipeline.local.summary import summarise, text
from pipeline.texts import now
from tests import judged
from tests.steps.train import runs

REGISTERED = "s3://bucket/runs/1/RegisterAdapter/registered"
MODEL = "s3://bucket/runs/1/Gate/serving/"


def test_a_version_is_told_alike_whether_a_step_or_a_job_registered_it(tmp_path: Path) -> None:
    facts = {"group": "dpo", "variant": "adapter", "approval_status": "Approved", "model": MODEL}
    file = Store(tmp_path).path(f"{REGISTERED}/registered.json")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(facts | {"version": "3", "model_package_arn": "arn"}))
    outputs = [{"OutputName": "registered", "S3Output": {"S3Uri": REGISTERED}}]
    package = {
        "ModelPackageGroupName": "dpo",
        "ModelPackageVersion": 3,
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataProperties": {"variant": "adapter"},
        "InferenceSpecification": {"Containers": [{"ModelDataSource": {"S3DataSource": {"S3Uri": MODEL}}}]},
    }
    found = [
        registered(tmp_path, "Processing", {"ProcessingOutputConfig": {"Outputs": outputs}}),
        registered(tmp_path, "RegisterModel", package),
    ]
    wanted = facts | {"version": 3, "model": str(Store(tmp_path).path(MODEL))}
    assert [{name: one[name] for name in wanted} for one in found] == [wanted, wanted]


def registered(root: Path, kind: str, properties: dict[str, Any]) -> Any:
    steps = [StepRecord(name=name, type="Processing") for name in ("Preprocess", "Gate")]
    steps.append(StepRecord(name="RegisterAdapter", type=kind, status="Succeeded", properties=properties))
    execution = Execution(id="a" * 12, pipeline_name="dpo", parameters={}, created=now(), steps=steps)
    return summarise(root, execution)["registered"]


def test_nothing_is_said_of_a_tracker_where_the_training_left_no_account(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    steps = [
        StepRecord(name="Preprocess", type="Processing"),
        StepRecord(name="Train", type="Training", status="Stopped"),
        StepRecord(name="Gate", type="Processing"),
    ]
    assert "tracked" not in text(summarise(tmp_path, Execution.model_validate(summary_of(steps))))


def test_a_tracker_that_got_nothing_is_a_warning_with_a_command_that_names_what_is_there(tmp_path: Path) -> None:
    decision, stored = "s3://bucket/runs/1/Gate/decision", "s3://bucket/dpo/checkpoints/it's one/"
    job = "/gone/opt/ml/checkpoints"
    sending = f"wandb sync {job}/wandb/offline-run-1 && python -m steps.train.send_tracking --checkpoints {job}"
    told = {"delivered": 0, "undelivered": {"metrics": 17, "params": 1}, "refused": [], "closed": False}
    folder = Store(tmp_path).path(decision)
    folder.mkdir(parents=True)
    account = {"mlflow": told | {"last_error": "database is locked", "to_send": sending, "checkpoints": job}}
    (folder / "tracking.json").write_text(json.dumps(account))
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "request.json").write_text(json.dumps({"CheckpointConfig": {"S3Uri": stored}}))
    (tmp_path / "mlflow.db").touch()
    outputs = [{"OutputName": "decision", "S3Output": {"S3Uri": decision}}]
    properties = {"ProcessingOutputConfig": {"Outputs": outputs}}
    steps = [
        StepRecord(name="Preprocess", type="Processing"),
        StepRecord(name="Train", type="Training", log=str(tmp_path / "job" / "log.txt")),
        StepRecord(name="Gate", type="Processing", status="Succeeded", properties=properties),
    ]
    summary = summarise(tmp_path, Execution.model_validate(summary_of(steps)))
    place = Store(tmp_path).path(stored)
    command = f"wandb sync {shlex.quote(f'{place}/wandb/offline-run-1')} && "
    command += f"python -m steps.train.send_tracking --checkpoints {shlex.quote(str(place))}"
    mlflow = {"delivered": 0, "entries": 18, "why": "database is locked", "to_send": command}
    assert summary["tracked"] == {"mlflow": mlflow}
    lines = text(summary).splitlines()
    said = f"mlflow got 0 of 18 entries: database is locked; send the rest: {command}"
    assert f"{'warning':<16} {said}" in lines and not [line for line in lines if line.startswith("tracked")]

    told |= {"delivered": 18, "undelivered": {}, "closed": True}
    (folder / "tracking.json").write_text(json.dumps({"mlflow": told}))
    summary["tracked"] = summarise(tmp_path, Execution.model_validate(summary_of(steps)))["tracked"]
    assert summary["tracked"] == {"mlflow": {"delivered": 18, "entries": 18}}
    said = f"18 of 18 entries: mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db"
    assert f"{'tracked':<16} {said}" in text(summary)


def judged_summary(root: Path, **sections: Any) -> str:
    """The summary of an execution whose gate left these sections in its evaluation."""
    decision = "s3://bucket/runs/1/Gate/decision"
    folder = Store(root).path(decision)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"loss": 0.5, "reward_accuracy": 0.9}
    evaluation = {"rows": 60, "before": figures, "after": figures, "tokenised": {}, **sections}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    (folder / "gate.json").write_text(json.dumps({"decision": "pass", "message": "good"}))
    properties = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "decision", "S3Output": {"S3Uri": decision}}]}}
    steps = [StepRecord(name="Preprocess", type="Processing"),
             StepRecord(name="Gate", type="Processing", status="Succeeded", properties=properties)]  # fmt: skip
    return text(summarise(root, Execution.model_validate(summary_of(steps))))


def test_the_served_form_and_the_answers_have_a_line_each(tmp_path: Path) -> None:
    run = runs.judged_run()["evaluation"]
    said = judged_summary(tmp_path, served=run["served"], answers=run["answers"])
    for line in (
        "as served        reward accuracy 0.500 -> 0.933; 2 of 60 rows change sides",
        "calls right      0.000 -> 0.875 of 24 prompts with tools",
        "degenerate       0.500 -> 0.083 of 36 answers",
    ):
        assert line in said.splitlines()
    answers = run["answers"] | {"parser": None, "parser_reason": "no parser is known for x"}
    answers |= {side: answers[side] | {"calls": None} for side in ("before", "after")}
    said = judged_summary(tmp_path, served=run["served"] | {"same": True}, answers=answers)
    assert "as served        the same: it was trained in the form that is served" in said
    assert "calls right      not judged: no parser is known for x" in said


def test_why_neither_was_judged_is_said_and_an_older_evaluation_says_nothing(tmp_path: Path) -> None:
    said = judged_summary(tmp_path, served=judged.NOT_SERVED, answers=judged.NOT_JUDGED).splitlines()
    assert "as served        not evaluated: evaluate_served: false" in said
    assert "answers          not judged: evaluate_answers: 0" in said
    older = judged_summary(tmp_path)
    assert "reward accuracy  0.900 -> 0.900" in older and "as served" not in older and "answers" not in older
    assert "damaged" in judged_summary(tmp_path, served={"evaluated": True})


def summary_of(steps: list[StepRecord]) -> dict[str, Any]:
    return {"id": "a" * 12, "pipeline_name": "dpo", "parameters": {}, "created": now(), "steps": steps}


def test_a_summary_ends_with_the_command_that_shows_the_execution_as_a_page() -> None:
    command = "python pipeline.py report --local abc --open"
    lines = text({"execution": "abc", "status": "Failed", "logs": "logs", "report": command}).splitlines()
    assert lines[-1] == f"report           {command}"


def test_what_candidates_made_has_a_line(tmp_path: Path) -> None:
    place = "s3://bucket/runs/1/Train/candidates/report"
    folder = Store(tmp_path).path(place)
    folder.mkdir(parents=True)
    report = {"prompts": {"lines": 7, "paired": 3}, "pairs": {"kept": 3, "rules": {"decision": 2, "schema": 1}}}
    (folder / "report.json").write_text(json.dumps(report))
    properties = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": {"S3Uri": place}}]}}
    steps = [StepRecord(name="Candidates", type="Processing", status="Succeeded", properties=properties),
             StepRecord(name="Preprocess", type="Processing"), StepRecord(name="Gate", type="Processing")]  # fmt: skip
    found = summarise(tmp_path, Execution.model_validate(summary_of(steps)))
    assert found["candidates"] == report
    assert f"{'candidates':<16} 7 prompts, 3 pairs (2 decision, 1 schema)" in text(found).splitlines()
