"""Each step's own calls against its own role, and what each role must not be able to do, by IAM's rules."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pipeline.account_check.needs import ROLES
from pipeline.definition.render import render
from pipeline.rendered import read
from pipeline.settings import workflow as workflow_settings
from tests.paths import ROOT
from tests.pipeline import iam
from tests.pipeline.account.boto_calls import calls, modules
from tests.pipeline.moto_server import ACCOUNT, BUCKET, write_settings

SAGEMAKER = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
RUNS = f"arn:aws:s3:::{BUCKET}/dpo/dpo-qwen3/runs/ab12cd34ef56"
OTHERS = f"arn:aws:s3:::{BUCKET}/dpo/dpo-other/runs/zz12cd34ef56"
RAW = f"arn:aws:s3:::{BUCKET}/dpo/preferences/a.jsonl"
UPLOAD = f"arn:aws:s3:::{BUCKET}/dpo/inputs/data/0123/a.jsonl"
VERSION = f"{SAGEMAKER}:model-package/dpo-qwen3/1"
GROUP = f"{SAGEMAKER}:model-package-group/dpo-qwen3"
ENDPOINT = f"{SAGEMAKER}:endpoint/dpo-qwen3"
STEPS = {
    "ChampionRole": ("Champion/champion/champion.json",),
    "PreprocessRole": tuple(
        f"{step}/{name}/a"
        for step, names in {
            "Preprocess": ("train", "validation", "quarantine", "report"),
            "Collect": ("pairs", "unpaired", "report"),
        }.items()
        for name in names
    ),
    "TrainRole": ("Train/pipelines-x-Train-y/output/model/adapter_model.safetensors", "Train/candidates/pairs/a"),
    "GateRole": ("Gate/decision/gate.json", "Gate/serving/adapters/dpo/adapter_model.safetensors"),
    "MergeRole": ("Merge/model/model.safetensors", "Merge/facts/merged.json"),
    "RegisterRole": ("RegisterMerged/registered/registered.json", "RegisterAdapter/registered/registered.json"),
}
JOBS = (*STEPS, "ServeRole")
OTHER_SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-billing-AbCdEf"
PENDING = {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}


def may(role: str, action: str, resource: str, keys: dict[str, str] | None = None, *true: str) -> bool:
    return iam.decision(iam.of_role(role, *true), action, resource, keys) == "allowed"


def resource_of(action: str) -> str:
    """What a step's call acts on."""
    if action.startswith("s3:"):
        return f"arn:aws:s3:::{BUCKET}" + (
            "" if action == "s3:ListBucket" else "/dpo/dpo-qwen3/runs/ab12cd34ef56/Gate/serving/a"
        )
    if action.startswith("secretsmanager:"):
        return iam.HUB
    if action.startswith("bedrock:"):
        return iam.JUDGE
    return GROUP if action == "sagemaker:ListModelPackages" else VERSION


@pytest.mark.parametrize(
    ("role", "files", "expected"),
    [
        (
            "ChampionRole",
            "steps/champion",
            {"s3:GetObject", "s3:ListBucket", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"},
        ),
        ("RegisterRole", "steps/register", {"sagemaker:CreateModelPackage"}),
        ("TrainRole", "steps/train", set()),
        ("PreprocessRole", "steps/preprocess", set()),
        ("GateRole", "steps/gate", {"bedrock:InvokeModel"}),
        ("MergeRole", "steps/merge", set()),
    ],
)
def test_a_step_calls_what_its_own_role_may(role: str, files: str, expected: set[str]) -> None:
    found = {action for path in modules(files) for actions in calls(path) for action in actions}
    assert found == expected
    if role == "RegisterRole":  # which asks with the champion's code whether it has registered already
        found |= {action for actions in calls(ROOT / "steps/champion/approved.py") for action in actions}
        found |= {"s3:ListBucket"}
    for action in found:
        assert may(role, action, resource_of(action), PENDING), action


def test_train_may_track_with_all_that_the_tracker_calls() -> None:
    tracker = (ROOT / "steps" / "train" / "tracking" / "mlflow_run.py").read_text()
    called = {"".join(part.title() for part in name.split("_")) for name in re.findall(r"client\.(\w+)\(", tracker)}
    assert len(called) > 3
    for name in called - {"SetTerminated"}:  # which sends UpdateRun
        assert may("TrainRole", f"sagemaker-mlflow:{name}", f"{SAGEMAKER}:mlflow-tracking-server/dpo-tracking"), name
        assert not may("MergeRole", f"sagemaker-mlflow:{name}", f"{SAGEMAKER}:mlflow-tracking-server/dpo-tracking"), (
            name
        )


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The jobs' requests of a definition in moto's account that registers with a job, by the name of their step."""
    settings = write_settings(tmp_path_factory.mktemp("roles"))
    text = settings.read_text().replace("register:\n", "collect:\ncandidates:\nregister:\n  register_with: job\n")
    settings.write_text(text)
    definition = json.loads(render(workflow_settings.load(settings)))
    return {step.name: step.arguments for step in read(definition).all_steps if "RoleArn" in step.arguments}


def text(value: Any) -> str:
    """A rendered value as an execution would resolve it: variables as `x`."""
    if isinstance(value, dict) and "Std:Join" in value:
        join = value["Std:Join"]
        return str(join["On"]).join(text(one) for one in join["Values"])
    return value if isinstance(value, str) else "x"


def test_each_job_has_its_own_role_and_may_write_where_its_request_says(requests: dict[str, dict[str, Any]]) -> None:
    by_arn = {iam.attribute(role, "Arn"): role for role in ROLES}
    assert {name: by_arn[one["RoleArn"]] for name, one in requests.items()} == {
        "Champion": "ChampionRole",
        "Collect": "PreprocessRole",
        "Candidates": "TrainRole",
        "Preprocess": "PreprocessRole",
        "Train": "TrainRole",
        "Gate": "GateRole",
        "Merge": "MergeRole",
        "RegisterMerged": "RegisterRole",
        "RegisterAdapter": "RegisterRole",
    }
    to_sagemaker = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    for request in requests.values():
        outputs = [one["S3Output"]["S3Uri"] for one in request.get("ProcessingOutputConfig", {}).get("Outputs", [])]
        if not outputs:
            outputs = [request["OutputDataConfig"]["S3OutputPath"], request["CheckpointConfig"]["S3Uri"]]
        for place in outputs:
            key = text(place).replace("s3://", "arn:aws:s3:::") + "/a"
            assert [role for role in STEPS if may(role, "s3:PutObject", key)] == [by_arn[request["RoleArn"]]], key
        assert may("ExecutionRole", "iam:PassRole", request["RoleArn"], to_sagemaker)


@pytest.mark.parametrize("role", STEPS)
def test_a_job_writes_its_own_results_and_nothing_else(role: str) -> None:
    for base in (RUNS, f"arn:aws:s3:::{BUCKET}/account-test/dpo-account-test-1/dpo-account-test-1/runs/ab12"):
        for key in STEPS[role]:
            assert may(role, "s3:PutObject", f"{base}/{key}"), key
    refused = [
        RAW,
        UPLOAD,
        f"arn:aws:s3:::{BUCKET}/models/base/model.safetensors",
        f"arn:aws:s3:::{BUCKET}/dpo/dpo-qwen3/x",
    ]
    for other, keys in STEPS.items():
        if other != role:
            own = STEPS[role][0].partition("/")[0]
            # A wildcard matches "/" too: a folder of the step's own name in another one's results is still another's.
            refused += [f"{base}/{key}{more}" for base in (RUNS, OTHERS) for key in keys for more in ("", f"/{own}/x")]
    if role != "TrainRole":
        refused.append(f"arn:aws:s3:::{BUCKET}/dpo/dpo-qwen3/checkpoints/a/complete.json")
    for place in refused:
        assert not may(role, "s3:PutObject", place), place
        assert not may(role, "s3:DeleteObject", place), place
    assert may("TrainRole", "s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/dpo/dpo-qwen3/checkpoints/a/complete.json")


@pytest.mark.parametrize("role", ["ExecutionRole", *JOBS])
def test_no_role_deletes_or_changes_a_version_or_registers_an_approved_one(role: str) -> None:
    for action in ("DeleteModelPackage", "DeleteModelPackageGroup", "UpdateModelPackage"):
        for resource in (VERSION, GROUP):
            assert not may(role, f"sagemaker:{action}", resource), action
    registers = role in ("ExecutionRole", "RegisterRole")
    for resource in (VERSION, GROUP):
        for status in ("PendingManualApproval", "Rejected"):
            keys = {"sagemaker:ModelApprovalStatus": status}
            assert may(role, "sagemaker:CreateModelPackage", resource, keys) == registers
        approved = {"sagemaker:ModelApprovalStatus": "Approved"}
        assert not may(role, "sagemaker:CreateModelPackage", resource, approved)
        assert may(role, "sagemaker:CreateModelPackage", resource, approved, "RegistersApproved") == registers


@pytest.mark.parametrize("role", JOBS)
def test_a_job_starts_nothing_hands_on_no_role_and_makes_no_endpoint(role: str) -> None:
    passed = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    for action, resource in {
        "sagemaker:CreateTrainingJob": f"{SAGEMAKER}:training-job/pipelines-x",
        "sagemaker:CreateProcessingJob": f"{SAGEMAKER}:processing-job/pipelines-x",
        "sagemaker:StopTrainingJob": f"{SAGEMAKER}:training-job/pipelines-x",
        "sagemaker:StartPipelineExecution": f"{SAGEMAKER}:pipeline/dpo-qwen3",
        "sagemaker:UpdatePipeline": f"{SAGEMAKER}:pipeline/dpo-qwen3",
        "sagemaker:CreateModel": f"{SAGEMAKER}:model/dpo-qwen3",
        "sagemaker:UpdateEndpoint": ENDPOINT,
    }.items():
        assert not may(role, action, resource), action
    for other in ROLES:
        assert not may(role, "iam:PassRole", iam.attribute(other, "Arn"), passed)
        assert not may(role, "sts:AssumeRole", iam.attribute(other, "Arn"))


def test_secrets_are_for_the_jobs_that_use_them_and_named_one_by_one() -> None:
    """Train, and of the hub's token the lookup of a commit and Merge, which load from there."""
    readers = {iam.HUB: {"ChampionRole", "TrainRole", "MergeRole"}, iam.TRACKERS: {"TrainRole"}, OTHER_SECRET: set()}
    for secret, roles in readers.items():
        found = {role for role in ROLES if may(role, "secretsmanager:GetSecretValue", secret)}
        assert found == roles, secret
    operator = [*iam.of_policy("OperatorPolicy"), *iam.of_policy("ApproverPolicy")]
    assert iam.decision(operator, "secretsmanager:GetSecretValue", iam.HUB) == "implicitDeny"


def test_only_gate_and_candidates_ask_a_judge_and_only_the_named_one() -> None:
    assert {role for role in ROLES if may(role, "bedrock:InvokeModel", iam.JUDGE)} == {"GateRole", "TrainRole"}
    for role in ROLES:
        assert not may(role, "bedrock:InvokeModel", iam.JUDGE.replace("the.judge", "another"))


def test_only_endpoints_write_captures_and_no_results() -> None:
    capture = f"arn:aws:s3:::{BUCKET}/dpo/dpo-qwen3/captures/version-1/chat/AllTraffic/2026/11/29/08/a.jsonl"
    assert {role for role in ROLES if may(role, "s3:PutObject", capture)} == {"ServeRole"}
    for place in (f"{RUNS}/Gate/captures/a", f"{OTHERS}/Train/captures/a", RAW, UPLOAD):
        assert not may("ServeRole", "s3:PutObject", place), place
    operator = iam.of_policy("OperatorPolicy")
    said = f"arn:aws:s3:::{BUCKET}/dpo/dpo-qwen3/feedback/2026/11/29/a.jsonl"
    assert iam.decision(operator, "s3:PutObject", said, {}) == "allowed"


def test_reading_is_wide_only_where_data_or_models_may_lie_anywhere() -> None:
    for role in ROLES:
        wide = role in ("ChampionRole", "PreprocessRole", "TrainRole", "MergeRole", "ServeRole")
        assert may(role, "s3:GetObject", RAW) == wide, role
        assert may(role, "s3:GetObject", f"{iam.THEIRS}/pairs/a.jsonl") == wide, role
        assert may(role, "s3:GetObject", f"{RUNS}/Gate/decision/gate.json"), role


def test_only_lookup_registration_and_pipeline_see_the_registry() -> None:
    for action, resource in (("ListModelPackages", GROUP), ("DescribeModelPackage", VERSION)):
        found = {role for role in ROLES if may(role, f"sagemaker:{action}", resource)}
        assert found == {"ExecutionRole", "ChampionRole", "RegisterRole"}


def test_an_operator_cannot_approve_by_any_way_and_an_approver_cannot_start() -> None:
    operator, approver = iam.of_policy("OperatorPolicy"), iam.of_policy("ApproverPolicy")
    approves = {"sagemaker:ModelApprovalStatus": "Approved"}

    def decided(statements: list[dict[str, Any]], action: str, resource: str, keys: dict[str, str]) -> bool:
        return iam.decision(statements, action, resource, keys) == "allowed"

    assert not decided(operator, "sagemaker:UpdateModelPackage", VERSION, approves)
    assert not decided(operator, "sagemaker:CreateModelPackage", VERSION, approves)
    assert not decided(operator, "sagemaker:CreateProcessingJob", f"{SAGEMAKER}:processing-job/pipelines-x", {})
    # Not by a definition of their own either: what the pipeline may hand on or register is above.
    to_sagemaker = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    passed = {role for role in ROLES if decided(operator, "iam:PassRole", iam.attribute(role, "Arn"), to_sagemaker)}
    assert passed == {"ExecutionRole", "ServeRole"}
    for key in (key for keys in STEPS.values() for key in keys):
        for base in (RUNS, f"arn:aws:s3:::{BUCKET}/account-test/dpo-account-test-1/dpo-account-test-1/runs/ab12"):
            assert not decided(operator, "s3:PutObject", f"{base}/{key}", {}), key
    upload = f"arn:aws:s3:::{BUCKET}/account-test/dpo-account-test-1/inputs/data/ab/rows.jsonl"
    assert decided(operator, "s3:PutObject", upload, {})
    tester = [*operator, *iam.of_policy("AccountTestPolicy")]
    tests_result = upload.replace("inputs/data", "dpo-account-test-1/runs")
    assert decided(tester, "s3:DeleteObject", tests_result, {})
    assert decided(operator, "s3:PutObject", UPLOAD, {}) and decided(operator, "s3:PutObject", RAW, {})
    assert decided(approver, "sagemaker:UpdateModelPackage", VERSION, approves)
    pipeline = f"{SAGEMAKER}:pipeline/dpo-qwen3"
    for action in ("StartPipelineExecution", "UpdatePipeline"):
        assert decided(operator, f"sagemaker:{action}", pipeline, {})
        assert not decided(approver, f"sagemaker:{action}", pipeline, {})
    assert not decided(approver, "s3:PutObject", UPLOAD, {})
