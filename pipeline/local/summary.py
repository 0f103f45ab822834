"""What came of a local execution, read from the files that its steps left."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from pipeline.local import spoken, tracked
from pipeline.local.outputs import Candidates, Collected, Evaluation, Gate, Outputs, Report
from pipeline.local.state import records
from pipeline.local.state.records import Execution

USED = ("given", "used")


def summarise(root: Path, execution: Execution) -> dict[str, Any]:
    """Rows, evaluation, gate, merge, registered version and where things lie; what a step did not reach is absent, and
    what has been removed since, or cannot be read, is named."""
    left = Outputs(root, execution)
    found: dict[str, Any] = {
        "execution": execution.id,
        "status": execution.status,
        "failure_reason": execution.failure_reason,
    }
    if left.no_new_data():
        found["no_new_data"] = True
    if any(step.name == "Collect" for step in execution.steps) and (
        collected := left.file("Collect", "report", "report.json", Collected)
    ):
        found["collected"] = collected
    if any(step.name == "Candidates" for step in execution.steps) and (
        candidates := left.file("Candidates", "report", "report.json", Candidates)
    ):
        found["candidates"] = candidates
    if report := left.file("Preprocess", "report", "report.json", Report):
        found["rows"] = report["rows"]
    if evaluation := left.file("Gate", "decision", "evaluation.json", Evaluation):
        found["held_out"] = {"rows": evaluation["rows"], "before": evaluation["before"], "after": evaluation["after"]}
        found["tokenised"] = evaluation["tokenised"]
        found |= {
            name: evaluation[name] for name in ("served", "answers", "feedback", "canary") if evaluation.get(name)
        }
    if gate := left.file("Gate", "decision", "gate.json", Gate):
        found["gate"] = gate
    if registered := left.registered():
        found["registered"] = registered
    if told := tracked.tracked(left, execution):
        found["tracked"] = told
    if left.gone:
        found["gone"] = left.gone
    if left.damaged:
        found["damaged"] = left.damaged
    if (root / records.MLFLOW).is_file():
        found["mlflow"] = records.mlflow_uri(root)
    found["logs"] = str(records.folder(root, execution.id) / "jobs")
    return found


def text(summary: dict[str, Any]) -> str:
    """The summary as lines of label and text."""
    return "\n".join(f"{label:<16} {words}" for label, words in _lines(summary))


def _rules(made: dict[str, Any]) -> str:
    return ", ".join(f"{count} {rule}" for rule, count in made["pairs"]["rules"].items() if count) or "none"


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("execution", f"{summary['execution']} {summary['status']}")]
    if summary.get("no_new_data"):
        lines.append(("no new data", "the data is that of the last registered version; ended before training"))
    if collected := summary.get("collected"):
        rules = _rules(collected)
        lines.append(
            (
                "collected",
                f"{collected['captures']['lines']} captures, {collected['feedback']['lines']} lines of feedback, "
                f"{collected['pairs']['kept']} pairs ({rules})",
            )
        )
    if candidates := summary.get("candidates"):
        made = f"{candidates['pairs']['kept']} pairs ({_rules(candidates)})"
        lines.append(("candidates", f"{candidates['prompts']['lines']} prompts, {made}"))
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
    if (feedback := summary.get("feedback")) and feedback["train"] + feedback["validation"]:
        times = f", each {feedback['weight']} times in a pass" if feedback["weight"] > 1 else ""
        lines.append(("of feedback", f"{feedback['train']} trained on{times}; {feedback['validation']} held out"))
    if held_out := summary.get("held_out"):
        before, after = held_out["before"], held_out["after"]
        lines.append(("held-out loss", f"{before['loss']:.4f} -> {after['loss']:.4f}"))
        lines.append(("reward accuracy", f"{before['reward_accuracy']:.3f} -> {after['reward_accuracy']:.3f}"))
    if canary := summary.get("canary"):
        lines.append(("canary", f"reward accuracy {canary['reward_accuracy']:.3f} on {canary['rows']} rows"))
    lines += spoken.lines(summary.get("served"), summary.get("answers"))
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
    lines += [("damaged", said) for said in summary.get("damaged", [])]
    if uri := summary.get("mlflow"):
        told = summary.get("tracked", {}).get("mlflow")
        if told and told["delivered"]:  # a training that did not end left no account: nobody knows then
            some = f"{told['delivered']} of {told['entries']} entries: "
            lines.append(("tracked", f"{some}mlflow ui --backend-store-uri {shlex.quote(uri)}"))
    lines += tracked.lines(summary.get("tracked", {}))
    lines.append(("logs", summary["logs"]))
    if command := summary.get("report"):
        lines.append(("report", command))
    return lines
