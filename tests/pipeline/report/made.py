"""Made-up executions as the pages see them: their steps, their files in a dictionary that stands for S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.parameters import history
from pipeline.report.facts import Facts, gather
from pipeline.versions.registry import ModelVersion
from tests.paths import ROOT
from tests.steps.preprocess import reports
from tests.steps.preprocess.reports import EVIL
from tests.steps.train import runs

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
RUN = "s3://bucket/runs/1"
MODEL = f"{RUN}/Train/job/output/model/"
PACKAGE = "arn:aws:sagemaker:us-east-1:111122223333:model-package/dpo/3"
LOG = [
    "[metrics] step=0/40 epoch=0 eval_loss=0.693147 eval_reward_accuracy=0.5",
    "[metrics] step=5/40 loss=0.66 reward_accuracy=0.4875 grad_norm=nan",
    "[metrics] step=10/40 loss=0.5 reward_accuracy=0.6 grad_norm=1e-2",
    "Traceback (most recent call last):",
    "RuntimeError: the loss is not finite",
]
OUTPUTS = {
    "Champion": ["champion"],
    "Preprocess": ["train", "validation", "report"],
    "Gate": ["decision", "serving"],
    "RegisterJob": ["registered"],
}


@cache
def definition() -> dict[str, Any]:
    """The quickstart's."""
    return json.loads((ROOT / "tests" / "pipeline" / "definition" / "golden" / "quickstart.json").read_text())


@dataclass
class Source:
    """What a page asks, answered from dictionaries."""

    objects: dict[str, bytes] = field(default_factory=dict)
    logs: Mapping[str, list[str]] = field(default_factory=dict)
    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    failed: Mapping[str, bytes] = field(default_factory=dict)
    approved: int | None = None
    local: bool = True
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def definition(self) -> dict[str, Any]:
        return definition()

    def properties(self, step: StepSummary) -> Mapping[str, Any]:
        if step.type == "Training":
            return {"ModelArtifacts": {"S3ModelArtifacts": MODEL}}
        outputs = [
            {"OutputName": name, "S3Output": {"S3Uri": f"{RUN}/{step.name}/{name}"}}
            for name in OUTPUTS.get(step.name, ["registered"])
        ]
        return {"ProcessingOutputConfig": {"Outputs": outputs}}

    def read(self, uri: str) -> bytes | None:
        self.asked.append(uri)
        return self.objects.get(uri)

    def of_failed_job(self, step: StepSummary, output: str, name: str) -> bytes | None:
        return self.failed.get(f"{step.name}/{output}/{name}")

    def shown(self, uri: str) -> str:
        return uri

    def log(self, step: StepSummary) -> list[str]:
        return self.logs.get(step.name, [])

    def version(self, arn: str) -> ModelVersion | None:
        return self.versions.get(arn)

    def champion(self, group: str) -> int | None:
        return self.approved


def step(name: str, status: str = "Succeeded", minutes: float = 3, **more: Any) -> StepSummary:
    kinds = {"Train": "Training", "RegisterAdapter": "RegisterModel", "RejectModel": "Fail"}
    condition = name in ("NoNewData", "CheckGate", "ChooseMerged", "ChooseAdapter")
    kind = "Condition" if condition else kinds.get(name, "Processing")
    ended = NOON + timedelta(minutes=minutes) if status in ("Succeeded", "Failed", "Stopped") else None
    facts = {"job_name": f"pipelines-1-{name}" if kind in ("Training", "Processing") else None}
    return StepSummary(name, kind, status, NOON, ended, **(facts | more))


def gate(decision: str = "pass", reason: str = "Accuracy 0.97 meets the threshold.") -> dict[str, Any]:
    rules = [
        {"name": "rows", "figure": 60, "limit": 30, "reason": "60 held-out rows, at least 30.", "verdict": "pass"},
        {"name": "accuracy", "figure": 0.966, "limit": 0.55, "reason": reason, "verdict": decision},
        {"name": "champion", "figure": None, "limit": -0.02, "reason": "No champion.", "verdict": "not judged"},
    ]
    return {
        "decision": decision,
        "message": reason,
        "reward_accuracy": 0.966,
        "reward_accuracy_before": 0.5,
        "rows": 60,
        "threshold": 0.55,
        "rules": rules,
    }


def verdicts(ids: list[str], said: str = "B is polite, A is not.") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the gate's judge leaves of five pairs: its figures, and its lines."""

    def line(verdict: str, *choices: str | None) -> dict[str, Any]:
        sides = zip("AB", choices, strict=False)
        return {
            "id": ids.pop(0),
            "verdict": verdict,
            "same": not choices,
            "said": [
                {"candidate": side, "choice": choice, "text": said, "stop": "end_turn", "tokens": 90}
                for side, choice in sides
            ],
        }

    lines = [line("tie"), line("candidate", "A", "B"), line("unreadable", "A", None), line("tie", "A", "A")]
    lines.append(line("base", "B", "A"))
    figures = {"model": "amazon.nova-pro-v1:0", "pairs": 9, "wins": 1, "losses": 1, "ties": 2, "unreadable": 1}
    return figures | {"tokens": 720, "stopped": "judge_max_pairs: 5"}, lines


def version(**changes: Any) -> ModelVersion:
    facts: dict[str, Any] = {
        "group": "dpo",
        "version": 3,
        "arn": PACKAGE,
        "approval_status": "PendingManualApproval",
        "created": NOON,
        "model_uri": f"{RUN}/Gate/serving/",
        "instance_types": ("ml.g5.2xlarge",),
        "metadata": {
            "variant": "adapter",
            "code_version": "57644a96",
            "manifest_sha256": "45dc",
            "mlflow_run_id": "bda34bc6",
            "mlflow_uri": "http://tracker",
        },
    }
    return ModelVersion(**(facts | changes))


def summary(status: str = "Succeeded", **changes: Any) -> ExecutionSummary:
    ended = None if status in ("Executing", "Stopping") else NOON + timedelta(minutes=9)
    facts: dict[str, Any] = {"started": NOON, "ended": ended, "name": "nightly-7"}
    return ExecutionSummary("abcdefghijkl", "arn:x/execution/abcdefghijkl", "dpo", status, **(facts | changes))


def files(*, hostile: bool = False, decision: str = "pass") -> dict[str, bytes]:
    """What the steps of a whole run leave."""
    made = runs.judged_run(hostile=hostile)
    report = reports.hostile() if hostile else reports.report()
    card = {"additional_information": {"custom_details": {"libraries": EVIL if hostile else "torch 2.13.0"}}}
    ids = [row["id"] for row in made["answers"]]
    judge, said = verdicts([*ids[:4], "a row that is gone"], *([EVIL] if hostile else []))
    decided = gate(decision, EVIL if hostile else "Accuracy 0.97 meets the threshold.")
    if hostile or decision == "fail":
        decided["judge"] = judge
    found: dict[str, Any] = {
        f"{RUN}/Champion/champion/champion.json": {"model_commit": "none"},
        f"{RUN}/Preprocess/report/report.json": report,
        f"{RUN}/Gate/decision/evaluation.json": made["evaluation"],
        f"{RUN}/Gate/decision/history.json": made["history"],
        f"{RUN}/Gate/decision/gate.json": decided,
        f"{RUN}/Gate/decision/card.json": {"content": json.dumps(card)},
        f"{MODEL}manifest.json": {"fingerprint": "4fd4a68d"},
    }
    lines = {"answers.jsonl": made["answers"], "judge.jsonl": said}
    return {uri: json.dumps(content).encode() for uri, content in found.items()} | {
        f"{RUN}/Gate/decision/{name}": "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        for name, rows in lines.items()
    }


def facts(source: Source, status: str, steps: list[StepSummary], **changes: Any) -> Facts:
    given = {"InputDataUri": "s3://bucket/pairs/", "Beta": "0.2"}
    uses = history.uses(definition(), given, history.defaults(definition()))
    again = "python pipeline.py start --set Beta=0.2 --local"
    return gather(source, summary(status, **changes), steps, uses, again)


def registered(*, hostile: bool = False, **source: Any) -> Facts:
    """A run whose model was registered; Preprocess was cached."""
    steps = [step("Champion"), step("Preprocess", cached=True), step("NoNewData", output="False")]
    steps.append(step("Train", minutes=40))
    steps += [step("Gate"), step("CheckGate", output="True"), step("RegisterAdapter", output=PACKAGE)]
    found = version(note=EVIL, metadata={"code_version": EVIL}) if hostile else version()
    made = Source(files(hostile=hostile), versions={PACKAGE: found}, approved=2, **source)
    return facts(made, "Succeeded", steps, **({"name": EVIL} if hostile else {}))


def rejected() -> Facts:
    reason = "Accuracy 0.41 is below the threshold 0.55."
    steps = [step("Champion"), step("Preprocess"), step("Train"), step("Gate"), step("CheckGate", output="False")]
    steps.append(step("RejectModel", "Failed", failure_reason=reason))
    return facts(Source(files(decision="fail")), "Failed", steps, failure_reason=reason)


def broken_data(*, hostile: bool = False) -> Facts:
    """A run whose data is not fit to train on; its report is in what the failed job left."""
    report = reports.hostile() if hostile else reports.failed()
    reason = EVIL if hostile else "pairs.jsonl: 86 of 200 rows (43.0%) are invalid"
    steps = [step("Champion"), step("Preprocess", "Failed", failure_reason=reason)]
    left = {"Preprocess/failed/report.json": json.dumps(report).encode()}
    made = Source(failed=left, logs={"Preprocess": [reason] * 40})
    return facts(made, "Failed", steps, failure_reason="Step Preprocess failed")


def crashed() -> Facts:
    """A run whose training failed in the middle."""
    steps = [step("Champion"), step("Preprocess"), step("Train", "Failed", failure_reason="the loss is not finite")]
    return facts(Source(files(), logs={"Train": LOG}), "Failed", steps)


def running() -> Facts:
    steps = [step("Champion"), step("Preprocess"), step("NoNewData", output="False"), step("Train", "Executing")]
    return facts(Source(files(), logs={"Train": LOG[:3]}), "Executing", steps)


ALL = {
    "registered": registered,
    "rejected": rejected,
    "broken_data": broken_data,
    "crashed": crashed,
    "running": running,
    "hostile": lambda: registered(hostile=True),
    "hostile_data": lambda: broken_data(hostile=True),
}
