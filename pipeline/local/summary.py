"""What came of a local execution, read from the files that its steps left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.local.state import damage, records
from pipeline.local.state.records import Execution
from pipeline.local.state.store import Store

USED = ("given", "used")
REGISTER_JOBS = ("RegisterMerged", "RegisterAdapter")  # Processing jobs with `register_with: job`


def summarise(root: Path, execution: Execution) -> dict[str, Any]:
    """Rows, evaluation, gate, merge, registered version and where things lie; what a step did not reach is absent, and
    what has been removed since is named."""
    store = Store(root)
    gone: list[str] = []
    found: dict[str, Any] = {
        "execution": execution.id,
        "status": execution.status,
        "failure_reason": execution.failure_reason,
    }
    if _no_new_data(execution):
        found["no_new_data"] = True
    report = _output(store, execution, gone, "Preprocess", "report", "report.json")
    if report:
        found["rows"] = report["rows"]
    evaluation = _output(store, execution, gone, "Gate", "decision", "evaluation.json")
    if evaluation:
        found["held_out"] = {"rows": evaluation["rows"], "before": evaluation["before"], "after": evaluation["after"]}
        found["tokenised"] = evaluation["tokenised"]
    gate = _output(store, execution, gone, "Gate", "decision", "gate.json")
    if gate:
        found["gate"] = gate
    if registered := _registered(store, execution, gone):
        found["registered"] = registered | {"model": str(store.path(registered["model"]))}
    if gone:
        found["gone"] = gone
    if (root / records.MLFLOW).is_file():
        found["mlflow"] = records.mlflow_uri(root)
    found["logs"] = str(records.folder(root, execution.id) / "jobs")
    return found


def _no_new_data(execution: Execution) -> bool:
    step = next((step for step in execution.steps if step.name == "NoNewData"), None)
    return step is not None and step.status == "Succeeded" and step.properties["Outcome"] == "True"


def _registered(store: Store, execution: Execution, gone: list[str]) -> dict[str, Any] | None:
    """The version of this execution, whether a step or a job has registered it."""
    done = [step for step in execution.steps if step.status == "Succeeded"]
    for step in done:
        if step.type == "RegisterModel":
            package = step.properties
            container = package["InferenceSpecification"]["Containers"][0]
            return {
                "group": package["ModelPackageGroupName"],
                "version": package["ModelPackageVersion"],
                "variant": package["CustomerMetadataProperties"]["variant"],
                "approval_status": package["ModelApprovalStatus"],
                "model": container["ModelDataSource"]["S3DataSource"]["S3Uri"],
            }
        if step.name in REGISTER_JOBS and step.type == "Processing":
            registered = _output(store, execution, gone, step.name, "registered", "registered.json")
            return {**registered, "version": int(registered["version"])} if registered else None
    return None


def _output(store: Store, execution: Execution, gone: list[str], step: str, output: str, file: str) -> Any:
    """What a step left in a file; None where it did not come so far, or the file is gone, which `gone` then names."""
    record = execution.step(step)
    if record.status != "Succeeded":
        return None
    outputs = {entry["OutputName"]: entry for entry in record.properties["ProcessingOutputConfig"]["Outputs"]}
    path = store.path(f"{outputs[output]['S3Output']['S3Uri']}/{file}")
    try:
        return damage.read(path, f"the output {output} of {step}", json.loads)
    except FileNotFoundError:
        gone.append(str(path))
        return None


def text(summary: dict[str, Any]) -> str:
    """The summary as lines of label and text."""
    return "\n".join(f"{label:<16} {words}" for label, words in _lines(summary))


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("execution", f"{summary['execution']} {summary['status']}")]
    if summary.get("no_new_data"):
        lines.append(("no new data", "the data is that of the last registered version; ended before training"))
    if rows := summary.get("rows"):
        valid = rows["train"] + rows["validation"]
        lines.append(
            (
                "rows",
                f"{rows['read']} read, {valid} valid ({rows['train']} train, {rows['validation']} held out), "
                f"{rows['duplicate']} duplicate, {rows['quarantined']} quarantined",
            )
        )
    for split, counts in summary.get("tokenised", {}).items():
        apart = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in counts.items() if reason not in USED)
        if apart:
            lines.append((split, f"{counts['used']} of {counts['given']} rows used: {apart}"))
    if held_out := summary.get("held_out"):
        before, after = held_out["before"], held_out["after"]
        lines.append(("held-out loss", f"{before['loss']:.4f} -> {after['loss']:.4f}"))
        lines.append(("reward accuracy", f"{before['reward_accuracy']:.3f} -> {after['reward_accuracy']:.3f}"))
    if gate := summary.get("gate"):
        lines.append(("gate", f"{gate['decision']}: {gate['message']}"))
    if registered := summary.get("registered"):
        merged = "yes" if registered["variant"] == "merged" else "no, the adapter is registered"
        lines.append(("merged", merged))
        lines.append(
            (
                "registered",
                f"{registered['group']} version {registered['version']} ({registered['approval_status']})",
            )
        )
        lines.append(("model", registered["model"]))
    lines += [("gone", path) for path in summary.get("gone", [])]
    if uri := summary.get("mlflow"):
        lines.append(("tracked", f"mlflow ui --backend-store-uri {uri}"))
    lines.append(("logs", summary["logs"]))
    return lines
