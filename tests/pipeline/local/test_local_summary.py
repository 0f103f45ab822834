"""What an execution's summary says of the version that it registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.local.state.records import Execution, StepRecord
from pipeline.local.state.store import Store
from pipeline.local.summary import summarise
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
