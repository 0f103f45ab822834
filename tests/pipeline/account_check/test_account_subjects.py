"""What moto does not give: refusals, answers of IAM's simulation, quotas and keys, against botocore's Stubber."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.stub import ANY, Stubber

from pipeline.account_check.context import Context, Look
from pipeline.account_check.needs import Need
from pipeline.account_check.subjects import (
    bucket,
    cuda,
    data,
    deployed,
    images,
    model,
    network,
    quotas,
    role,
    secrets,
    table,
    tracking,
)
from pipeline.account_check.subjects.model import Files
from tests.pipeline.account_check.conftest import with_settings, with_training
from tests.pipeline.moto_server import ACCOUNT

Stubs = Callable[[str], Stubber]
JOB = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/pipelines-account-check"
NEED = Need(JOB, ("sagemaker:CreateTrainingJob",))
REFUSED = "User: arn:aws:iam::1:user/a is not authorized to perform: {} on resource: x"


def test_a_missing_permission_of_the_check_itself_is_a_finding(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_client_error("get_role", "AccessDenied", REFUSED.format("iam:GetRole"))
    found = table._found(next(iter(role.looks(context))))
    assert [(one.level, one.what) for one in found] == [("unknown", "could not be looked at: needs iam:GetRole")]
    assert '"Action": "iam:GetRole"' in found[0].fix


def test_a_refusal_that_names_no_action_gets_those_of_the_look(context: Context, stubs: Stubs) -> None:
    stubs("s3").add_client_error("get_bucket_location", "403", "Forbidden")
    look = Look("x", ("s3:A", "s3:B"), lambda: [stubs("s3").client.get_bucket_location(Bucket="b")])
    (found,) = table._found(look)
    assert found.what == "could not be looked at: needs s3:A and s3:B"


def test_what_was_found_before_a_refusal_is_kept(context: Context, stubs: Stubs) -> None:
    def find() -> Any:
        yield role.error("first", "fix")
        raise TimeoutError("no answer")

    found = table._found(Look("x", (), find))
    assert [(one.level, one.what) for one in found] == [
        ("error", "first"),
        ("unknown", "could not be looked at: no answer"),
    ]


def simulation(decision: str, **more: Any) -> dict[str, Any]:
    return {"EvaluationResults": [{"EvalActionName": "sagemaker:CreateTrainingJob", "EvalDecision": decision, **more}]}


@pytest.mark.parametrize(
    ("answer", "level", "says"),
    [
        (simulation("implicitDeny"), "error", "training-job/pipelines-*"),
        (simulation("explicitDeny"), "error", ": a policy denies it"),
        (
            simulation("implicitDeny", OrganizationsDecisionDetail={"AllowedByOrganizations": False}),
            "error",
            ": the organization's policies do not allow it",
        ),
        (
            simulation("implicitDeny", MissingContextValues=["aws:RequestTag/team"]),
            "unknown",
            "unless a condition holds that cannot be tried here (aws:RequestTag/team)",
        ),
        (
            simulation(
                "explicitDeny",
                ResourceSpecificResults=[
                    {
                        "EvalResourceName": JOB,
                        "EvalResourceDecision": "explicitDeny",
                        "MissingContextValues": ["aws:PrincipalOrgID"],
                    }
                ],
            ),
            "unknown",
            "unless a condition holds that cannot be tried here (aws:PrincipalOrgID)",
        ),
    ],
)
def test_each_of_iams_verdicts_is_worded(
    context: Context, stubs: Stubs, answer: dict[str, Any], level: str, says: str
) -> None:
    request = {
        "PolicySourceArn": context.workflow.account.role_arn,
        "ActionNames": ["sagemaker:CreateTrainingJob"],
        "ResourceArns": [JOB],
        "ContextEntries": ANY,
    }
    stubs("iam").add_response("simulate_principal_policy", answer, request)
    (found,) = role.simulated(context, NEED)
    assert found.level == level and says in found.what


@pytest.mark.parametrize(("details", "findings"), [({"iam": "allowed", "resource": "implicitDeny"}, 0), ({}, 1)])
def test_a_resource_of_another_account_is_judged_by_the_roles_own_policies(
    context: Context, stubs: Stubs, details: dict[str, str], findings: int
) -> None:
    image = Need("arn:aws:ecr:us-east-1:763104351884:repository/djl-inference", ("sagemaker:CreateTrainingJob",))
    stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny", EvalDecisionDetails=details))
    found = list(role.simulated(context, image))
    assert [one.level for one in found] == ["unknown"] * findings


def test_a_need_that_is_allowed_is_no_finding(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_response("simulate_principal_policy", simulation("allowed"))
    assert list(role.simulated(context, NEED)) == []


def test_the_statement_to_add_is_of_any_jobs_name(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny"))
    (found,) = role.simulated(context, NEED)
    statement = json.loads(found.fix[found.fix.index("{") :])
    assert statement == {
        "Effect": "Allow",
        "Action": ["sagemaker:CreateTrainingJob"],
        "Resource": JOB.replace("account-check", "*"),
    }


def trusted(context: Context, condition: Mapping[str, Any]) -> bool:
    return role._of_account(condition, context)


def test_a_trust_policy_for_another_account_is_seen(context: Context) -> None:
    assert trusted(context, {"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    assert trusted(context, {})
    assert not trusted(context, {"StringEquals": {"AWS:SourceAccount": ["999999999999"]}})


def quota(name: str, value: float, code: str = "L-1") -> dict[str, Any]:
    return {"QuotaName": name, "Value": value, "QuotaCode": code}


def quota_findings(context: Context, stubs: Stubs, given: list[Any], defaults: list[Any]) -> list[Any]:
    stub = stubs("service-quotas")
    request = {"ServiceCode": "sagemaker", "MaxResults": 100}
    stub.add_response("list_service_quotas", {"Quotas": given[:1], "NextToken": "2"}, request)
    stub.add_response("list_service_quotas", {"Quotas": given[1:]}, request | {"NextToken": "2"})
    stub.add_response("list_aws_default_service_quotas", {"Quotas": defaults}, request)
    return list(quotas._quotas(context))


def test_quotas_are_read_page_by_page_and_the_defaults_where_none_is_applied(context: Context, stubs: Stubs) -> None:
    given = [
        quota("ml.m5.xlarge for processing job usage", 4),
        quota("ml.m5.xlarge for training job usage", 0, "L-2"),
        quota("ml.m5.large for processing job usage", 1),
    ]
    defaults = [quota("ml.t3.medium for processing job usage", 2), quota("ml.m5.xlarge for training job usage", 9)]
    found = {one.what: one for one in quota_findings(context, stubs, given, defaults)}
    small, absent = found.values()
    assert small.level == "error"
    assert "line 10  train.instance_type" in small.where
    assert small.what == "the quota 'ml.m5.xlarge for training job usage' is 0, and Train needs 1"
    assert "--quota-code L-2 --desired-value 1 --region us-east-1" in small.fix
    assert absent.level == "unknown" and "'ml.g5.2xlarge for endpoint usage'" in absent.what


def test_spot_and_warm_pools_have_quotas_of_their_own(context: Context) -> None:
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "KeepAlivePeriodInSeconds": 600}
    warm = {use.quota: use for use in quotas.uses(with_training(context, ResourceConfig=resources))}
    kept = warm["ml.m5.xlarge for training warm pool usage"]
    assert kept.instances == 2 and not kept.fatal
    assert warm["ml.m5.xlarge for training job usage"].fatal
    spot = {use.quota for use in quotas.uses(with_training(context, EnableManagedSpotTraining=True))}
    assert "ml.m5.xlarge for spot training job usage" in spot and "ml.m5.xlarge for training job usage" not in spot


SHARDS = {
    "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    "metadata": {"total_size": 4000},
}
WHOLE = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "x"}',
    "model.safetensors.index.json": json.dumps(SHARDS).encode(),
    "model-1.safetensors": bytes(2100),
    "model-2.safetensors": bytes(2100),
}


def problems(files: Mapping[str, bytes | None]) -> list[str]:
    there = {name: text for name, text in files.items() if text is not None}
    return list(model.problems(Files({name: len(text) for name, text in there.items()}, there.__getitem__)))


def test_a_whole_model_lacks_nothing() -> None:
    assert problems(WHOLE) == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", None, "config.json is missing"),
        ("tokenizer.json", None, "no tokenizer"),
        ("tokenizer_config.json", b"{}", "the tokenizer has no chat template"),
        ("model-2.safetensors", None, "1 of 2 shards are missing that model.safetensors.index.json names: model-2"),
        ("model-2.safetensors", b"version https://git-lfs", "only 23 bytes, which is a pointer of Git LFS"),
        ("model-2.safetensors", bytes(1500), "the shards have 3,600 bytes, and model.safetensors.index.json counts"),
    ],
)
def test_what_a_model_lacks_is_named(name: str, content: bytes | None, says: str) -> None:
    found = problems({**WHOLE, name: content})
    assert len(found) == 1 and says in found[0]


def on_the_hub(context: Context, read: Callable[[str], bytes]) -> list[Any]:
    """The quickstart with a model of the hub."""
    values = [one for one in context.definition["Parameters"] if one["Name"] != "ModelUri"]
    values += [
        {"Name": name, "Type": "String", "DefaultValue": value}
        for name, value in {"ModelId": "Qwen/Qwen3-0.6B", "ModelRevision": "main"}.items()
    ]
    changed = replace(context, definition=context.definition | {"Parameters": values}, read=read)
    return [finding for look in model.looks(changed) for finding in look.find()]


def test_a_model_of_the_hub_is_looked_at_by_its_names(context: Context) -> None:
    addresses = []

    def read(address: str) -> bytes:
        addresses.append(address)
        if "/api/" in address:
            names = [name for name in WHOLE if name != "model-2.safetensors"]
            return json.dumps({"siblings": [{"rfilename": name, "size": len(WHOLE[name])} for name in names]}).encode()
        return WHOLE[address.rpartition("/")[2]]

    (found,) = on_the_hub(context, read)
    assert found.level == "error" and found.what.startswith("Qwen/Qwen3-0.6B at main: 1 of 2 shards are missing")
    assert addresses[0] == "https://huggingface.co/api/models/Qwen/Qwen3-0.6B/revision/main?blobs=true"
    assert all("model-" not in address.rpartition("/")[2] for address in addresses)  # no weights are read


@pytest.mark.parametrize(
    ("code", "level", "says"),
    [
        (404, "error", "the hub has no Qwen/Qwen3-0.6B at main"),
        (401, "error", "and the jobs have no token"),
        (503, "unknown", "the hub answers 503"),
    ],
)
def test_what_the_hub_refuses_is_worded(context: Context, code: int, level: str, says: str) -> None:
    def read(address: str) -> bytes:
        raise HTTPError(address, code, "no", {}, io.BytesIO())  # type: ignore[arg-type]

    (found,) = on_the_hub(context, read)
    assert found.level == level and says in found.what


@pytest.mark.parametrize(
    ("instance", "version", "says"),
    [
        ("ml.p3.2xlarge", "13.3.0", "the image's CUDA 13.3.0 has nothing for GPUs below 7.5"),
        ("ml.p3.2xlarge", "12.8.1", ""),
        ("ml.p5.48xlarge", "11.7.0", "which CUDA knows from 11.8 on"),
        ("ml.g5.2xlarge", None, "it may hold torch's CPU build"),
        ("ml.g5.2xlarge", "13.3.0", ""),
        ("ml.m5.xlarge", None, ""),
    ],
)
def test_an_images_cuda_and_an_instances_gpus_are_compared(instance: str, version: str | None, says: str) -> None:
    problem = cuda._problem(instance, version)
    assert says in problem and bool(says) == bool(problem)


def test_an_image_elsewhere_is_no_image_for_a_job(context: Context) -> None:
    (found,) = images._image(context, "training", "docker.io/team/dpo:1")
    assert found.level == "error" and "is not in ECR" in found.what
    there = images.place("111122223333.dkr.ecr.eu-west-1.amazonaws.com/a/b@sha256:12")
    assert there == ("111122223333", "eu-west-1", "a/b", {"imageDigest": "sha256:12"})
    assert images._of_tag("0.38.0-lmi29.0.0-cu130") == "13.0" and images._of_tag("1") is None


def image_findings(context: Context, stubs: Stubs, name: str, kind: str, config: dict[str, Any]) -> list[Any]:
    manifest = {"config": {"digest": "sha256:c"}}
    answer = {"images": [{"imageManifest": json.dumps(manifest), "imageManifestMediaType": kind}]}
    stubs("ecr").add_response("batch_get_image", answer)
    if kind not in images.INDEXES:
        stubs("ecr").add_response("get_download_url_for_layer", {"downloadUrl": "http://x/?signed"})
    here = replace(context, read=lambda address: json.dumps({"config": config}).encode())
    uri = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/dpo-{name}@sha256:12"
    return [(one.level, one.what) for one in images._image(here, name, uri)]


def test_an_image_of_other_code_is_a_warning(context: Context, stubs: Stubs) -> None:
    labels = {"Labels": {images.VERSION: "0ld"}}
    ((level, what),) = image_findings(context, stubs, "processing", images.SINGLE[0], labels)
    assert level == "warning" and "the image holds the code 0ld" in what


def test_an_endpoints_image_in_ocis_format_is_a_warning(context: Context, stubs: Stubs) -> None:
    found = image_findings(context, stubs, "inference", images.OCI, {"Env": ["CUDA_VERSION=13.0.1"]})
    assert [level for level, _ in found] == ["warning"] and "which CreateModel has refused" in found[0][1]


@pytest.mark.parametrize("kind", images.INDEXES)
def test_an_index_of_images_is_an_error(context: Context, stubs: Stubs, kind: str) -> None:
    ((level, what),) = image_findings(context, stubs, "processing", kind, {})
    assert level == "error" and what == f"it is an index of images ({kind}), which SageMaker refuses"


SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-a-GhIjKl"


def test_a_secret_that_is_being_deleted_or_has_a_key_of_its_own(context: Context, stubs: Stubs) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    answer = {"ARN": SECRET, "DeletedDate": datetime(2026, 1, 2, tzinfo=UTC), "KmsKeyId": key}
    stubs("secretsmanager").add_response("describe_secret", answer, {"SecretId": SECRET})
    denied = {"EvaluationResults": [{"EvalActionName": "kms:Decrypt", "EvalDecision": "implicitDeny"}]}
    stubs("iam").add_response("simulate_principal_policy", denied)
    deleted, refused = secrets._secret(context, SECRET)
    assert "is being deleted" in deleted.what and "restore-secret" in deleted.fix
    assert f"may not do kms:Decrypt on {key}" in refused.what


def test_a_key_that_is_switched_off_or_of_another_kind(context: Context, stubs: Stubs) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    metadata = {"KeyId": "1", "KeyState": "PendingDeletion", "KeySpec": "RSA_2048"}
    stubs("kms").add_response("describe_key", {"KeyMetadata": metadata}, {"KeyId": key})
    state, kind = network._key(context, key)
    assert "is PendingDeletion" in state.what and "is RSA_2048" in kind.what


def test_subnets_without_room_and_groups_without_traffic(context: Context, stubs: Stubs) -> None:
    security = context.workflow.account.security.model_copy(
        update={"subnets": ["subnet-0123abcd"], "security_groups": ["sg-0123abcd"]}
    )
    subnet = {"SubnetId": "subnet-0123abcd", "VpcId": "vpc-1", "AvailableIpAddressCount": 0}
    group = {"GroupId": "sg-0123abcd", "VpcId": "vpc-2", "IpPermissions": []}
    stubs("ec2").add_response("describe_subnets", {"Subnets": [subnet]})
    stubs("ec2").add_response("describe_security_groups", {"SecurityGroups": [group]})
    found = [(one.level, one.what) for one in network._vpc(with_settings(context, security=security))]
    assert found == [
        ("error", "subnets and security groups are of several VPCs: vpc-1, vpc-2"),
        ("error", "no subnet has 1 free addresses, one for each training instance: subnet-0123abcd has 0"),
        (
            "warning",
            "sg-0123abcd allows no traffic among its members, which training on several instances needs",
        ),
    ]


def with_events(stubs: Stubs, notification: dict[str, Any]) -> None:
    rule = {"Name": "x", "Description": "New data under s3://theirs/pairs/", "State": "ENABLED"}
    stubs("events").add_response("list_rules", {"Rules": [rule]})
    stubs("events").add_response("list_targets_by_rule", {"Targets": [{"Id": "dpo", "Arn": "arn:aws:lambda:x:1:a:b"}]})
    stubs("s3").add_response("get_bucket_notification_configuration", notification, {"Bucket": "theirs"})


def test_a_trigger_whose_bucket_tells_eventbridge_nothing_is_an_error(context: Context, stubs: Stubs) -> None:
    with_events(stubs, {})
    (found,) = bucket._events(context)
    assert found.level == "error" and "waits for new objects in theirs, which does not tell EventBridge" in found.what
    with_events(stubs, {"EventBridgeConfiguration": {}})
    assert list(bucket._events(context)) == []


def test_a_buckets_own_key_is_tried_with_the_role(context: Context, stubs: Stubs) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    encryption = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    stubs("s3").add_response("get_bucket_encryption", encryption)
    denied = {"EvaluationResults": [{"EvalActionName": "kms:Decrypt", "EvalDecision": "implicitDeny"}]}
    stubs("iam").add_response("simulate_principal_policy", denied)
    (found,) = bucket._encryption(context)
    assert found.level == "error" and f"may not do kms:Decrypt on {key}" in found.what


def test_a_bucket_and_a_role_that_are_not_there(context: Context, stubs: Stubs) -> None:
    stubs("s3").add_client_error("get_bucket_location", "NoSuchBucket", "The specified bucket does not exist")
    stubs("iam").add_client_error("get_role", "NoSuchEntity", "The role cannot be found.")
    texts = [one.what for find in (bucket._region, role._role) for one in find(context)]
    assert texts == [
        f"there is no bucket {context.workflow.account.bucket}",
        f"there is no role dpo-pipeline-execution in account {ACCOUNT}",
    ]


def test_data_that_may_not_be_listed_is_said_and_not_passed_over(context: Context, stubs: Stubs) -> None:
    stubs("s3").add_client_error("list_objects_v2", "AccessDenied", "Access Denied")
    (found,) = data._present(context, "InputDataUri", "s3://theirs/pairs/")
    assert found.level == "unknown" and "needs s3:ListBucket" in found.what


@pytest.mark.parametrize(("status", "findings"), [("Created", 0), ("Deleting", 1), (None, 1)])
def test_an_mlflow_app_is_looked_at_by_its_arn(
    context: Context, stubs: Stubs, status: str | None, findings: int
) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:mlflow-app/app-1"
    if status is None:
        stubs("sagemaker").add_client_error("describe_mlflow_app", "ResourceNotFound", "not found")
    else:
        stubs("sagemaker").add_response("describe_mlflow_app", {"Status": status}, {"Arn": arn})
    found = list(tracking._tracking(context, arn))
    assert len(found) == findings and all(one.level == "warning" for one in found)


def test_what_does_not_answer_in_time_is_said_and_the_rest_is_shown(
    context: Context, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def never() -> list[Any]:
        answered.wait(20)
        return []

    looks = [Look("here", (), never), Look("there", (), lambda: [role.error("wrong", "fix")])]
    monkeypatch.setattr(table, "SECONDS", 0.3)
    monkeypatch.setattr(table, "SUBJECTS", {"role": lambda context: looks})
    identity = {"UserId": "a", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/a"}
    stubs("sts").add_response("get_caller_identity", identity)
    found = table.run(context).findings
    answered.set()
    assert [(one.level, one.where) for one in found] == [("unknown", "here"), ("error", "there")]
    assert "no answer within 0.3 s" in found[0].what


def test_what_an_upsert_would_change_is_a_note(context: Context, stubs: Stubs) -> None:
    before = json.loads(json.dumps(context.definition))
    next(one for one in before["Parameters"] if one["Name"] == "Beta")["DefaultValue"] = 0.5
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/dpo-quickstart"
    answer = {
        "PipelineArn": arn,
        "PipelineDefinition": json.dumps(before),
        "RoleArn": context.workflow.account.role_arn,
        "PipelineDescription": context.workflow.settings.description,
    }
    stubs("sagemaker").add_response("describe_pipeline", answer)
    stubs("sagemaker").add_response("list_tags", {"Tags": []})
    (found,) = deployed._deployed(context)
    assert found.level == "note" and "an upsert would change 1 changed: parameter Beta" in found.what
