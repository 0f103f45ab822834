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


def summary_of(steps: list[StepRecord]) -> dict[str, Any]:
    return {"id": "a" * 12, "pipeline_name": "dpo", "parameters": {}, "created": now(), "steps": steps}
