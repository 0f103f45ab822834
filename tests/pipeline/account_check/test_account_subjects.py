"""Quotas, keys, secrets, networks, buckets, tracking and the deployed pipeline, against botocore's Stubber."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from pipeline.account_check.context import Context
from pipeline.account_check.subjects import (
    bucket,
    data,
    deployed,
    network,
    quotas,
    role,
    secrets,
    tracking,
)
from pipeline.definition.render import render
from pipeline.settings.account import Roles
from tests.pipeline.account_check.conftest import with_settings, with_training
from tests.pipeline.moto_server import ACCOUNT

Stubs = Callable[[str], Stubber]


def quota(name: str, value: float, code: str = "L-1") -> dict[str, Any]:
    return {"QuotaName": name, "Value": value, "QuotaCode": code}


def quota_findings(context: Context, stubs: Stubs, given: list[Any], defaults: list[Any]) -> list[Any]:
    stub = stubs("service-quotas")
    request = {"ServiceCode": "sagemaker", "MaxResults": 100}
    stub.add_response("list_service_quotas", {"Quotas": given[:1], "NextToken": "2"}, request)
    stub.add_response("list_service_quotas", {"Quotas": given[1:]}, request | {"NextToken": "2"})
    if defaults:
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


def test_jobs_that_register_have_a_setting_of_their_own(context: Context) -> None:
    """Of every job of a workflow that registers with jobs, the table names the setting of its type."""
    section = {"register_with": "job", "instance_type": "ml.c5.large"}
    settings = context.workflow.settings
    changed = settings.model_copy(update={"register_model": settings.register_model.model_copy(update=section)})
    workflow = replace(context.workflow, settings=changed)
    jobs = replace(context, workflow=workflow, definition=json.loads(render(workflow)))
    assert "ml.c5.large for processing job usage" in {use.quota for use in quotas.uses(jobs)}
    names = {step.name for step in jobs.document.all_steps if step.type in ("Processing", "Training")}
    assert {"RegisterMerged", "RegisterAdapter"} <= names <= quotas.SETTINGS.keys()
    for name in ("RegisterMerged", "RegisterAdapter"):
        assert quotas._where(jobs, name).endswith("register.instance_type (its default)")


def test_a_step_in_no_table_is_a_finding(context: Context, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "SETTINGS", {"deploy": "register.inference_instance_types"})
    every = [quota(use.quota, 9) for use in quotas.uses(context)]
    found = quota_findings(context, stubs, every, [])
    assert {one.level for one in found} == {"unknown"}
    trained = next(one for one in found if one.what.startswith("Train uses 'ml.m5.xlarge for training job usage'"))
    assert trained.where == "step Train" and "definition --settings" in trained.fix


SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-a-GhIjKl"


def test_a_secret_that_is_being_deleted_or_has_a_key_of_its_own(context: Context, stubs: Stubs) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    answer = {"ARN": SECRET, "DeletedDate": datetime(2026, 1, 2, tzinfo=UTC), "KmsKeyId": key}
    stubs("secretsmanager").add_response("describe_secret", answer, {"SecretId": SECRET})
    denied = {"EvaluationResults": [{"EvalActionName": "kms:Decrypt", "EvalDecision": "implicitDeny"}]}
    stubs("iam").add_response("simulate_principal_policy", denied)
    reading = with_training(context, Environment={"WANDB_API_KEY_SECRET_ARN": SECRET})
    deleted, refused = secrets._secret(reading, SECRET)
    assert "is being deleted" in deleted.what and "restore-secret" in deleted.fix
    assert f"the role dpo-pipeline-train may not do kms:Decrypt on {key}" in refused.what


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


def test_a_trigger_that_also_waits_for_feedback_needs_events_of_both_buckets(context: Context, stubs: Stubs) -> None:
    both = "New data under s3://theirs/pairs/ and s3://ours/dpo/dpo-loop/feedback/"
    rule = {"Name": "x", "Description": both, "State": "ENABLED"}
    stubs("events").add_response("list_rules", {"Rules": [rule]})
    stubs("events").add_response("list_targets_by_rule", {"Targets": [{"Id": "dpo", "Arn": "arn:aws:lambda:x:1:a:b"}]})
    told = {"EventBridgeConfiguration": {}}
    stubs("s3").add_response("get_bucket_notification_configuration", told, {"Bucket": "theirs"})
    stubs("s3").add_response("get_bucket_notification_configuration", {}, {"Bucket": "ours"})
    (found,) = bucket._events(context)
    assert found.level == "error" and "waits for new objects in ours, which does not tell EventBridge" in found.what


def test_a_network_without_a_way_out_is_an_error_where_a_job_needs_one(context: Context) -> None:
    itself = {"IpPermissionsEgress": [{"UserIdGroupPairs": [{"GroupId": "sg-1"}], "IpRanges": []}]}
    closed = {"sg-1": itself}
    assert list(network._to_the_internet(context, closed)) == []  # its base lies in S3
    recipe = context.workflow.recipe.model_copy(update={"wandb_project": "dpo", "mlflow_uri": "https://mlflow.example"})
    tracked = replace(context, workflow=replace(context.workflow, recipe=recipe))
    (found,) = network._to_the_internet(tracked, closed)
    assert found.level == "error" and "the tracking server https://mlflow.example, Weights & Biases" in found.what
    assert "bootstrap --set InternetAccess=true" in found.fix
    out = {"IpPermissionsEgress": [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}
    assert list(network._to_the_internet(tracked, closed | {"sg-2": out})) == []


def with_tracker(context: Context, uri: str) -> Context:
    recipe = context.workflow.recipe.model_copy(update={"mlflow_uri": uri})
    return replace(context, workflow=replace(context.workflow, recipe=recipe))


def test_other_groups_and_prefix_lists_may_lead_to_a_tracker_and_are_not_looked_into(context: Context) -> None:
    to_server = {"UserIdGroupPairs": [{"GroupId": "sg-mlflow"}], "PrefixListIds": [{"PrefixListId": "pl-1"}]}
    groups = {"sg-1": {"IpPermissionsEgress": [to_server]}}
    (found,) = network._to_the_internet(with_tracker(context, "http://mlflow.internal:5000"), groups)
    assert found.level == "unknown"
    assert "the tracking server http://mlflow.internal:5000" in found.what and "sg-mlflow, pl-1 only" in found.what
    assert found.fix.startswith("see that these lead there")


def test_sagemakers_mlflow_needs_a_way_out_that_the_stack_does_not_make(context: Context) -> None:
    tracked = with_tracker(context, f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:mlflow-tracking-server/dpo-tracking")
    s3_alone = {"IpPermissionsEgress": [{"PrefixListIds": [{"PrefixListId": "pl-1"}]}]}
    (found,) = network._to_the_internet(tracked, {"sg-1": s3_alone})
    assert found.level == "warning" and "us-east-1.experiments.sagemaker.aws" in found.what
    out = {"IpPermissionsEgress": [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}
    assert list(network._to_the_internet(tracked, {"sg-1": out})) == []
    assert list(network._to_the_internet(tracked, {})) == []  # no VPC


def test_a_buckets_own_key_is_tried_with_the_role(context: Context, stubs: Stubs) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    encryption = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    stubs("s3").add_response("get_bucket_encryption", encryption)
    denied = {"EvaluationResults": [{"EvalActionName": "kms:Decrypt", "EvalDecision": "implicitDeny"}]}
    stubs("iam").add_response("simulate_principal_policy", denied)
    (found,) = bucket._encryption(with_settings(context, roles=Roles()))
    assert found.level == "error" and f"may not do kms:Decrypt on {key}" in found.what


def test_a_bucket_and_a_role_that_are_not_there(context: Context, stubs: Stubs) -> None:
    stubs("s3").add_client_error("get_bucket_location", "NoSuchBucket", "The specified bucket does not exist")
    stubs("iam").add_client_error("get_role", "NoSuchEntity", "The role cannot be found.")
    arn = context.workflow.account.role_arn
    texts = [one.what for one in (*bucket._region(context), *role._role(context, arn))]
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
