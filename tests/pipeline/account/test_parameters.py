"""What the settings say of the template's parameters, and how long logs are kept."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from pipeline.account import log_groups
from pipeline.account import parameters as of_template
from pipeline.errors import UserError
from pipeline.settings import workflow as workflow_settings

SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:dpo-"


@pytest.fixture(scope="module")
def account() -> Any:
    return workflow_settings.load(workflow_settings.DEFAULT_SETTINGS).account


def test_roles_are_allowed_the_prefix_and_the_secrets_of_the_account_file(account: Any) -> None:
    assert of_template.of_account(account) == {"Prefix": "dpo", "HubSecret": "", "TrackingSecrets": ""}
    named = {
        "HF_TOKEN": f"{SECRET}hub-AbCdEf#token",
        "WANDB_API_KEY": f"{SECRET}trackers-GhIjKl#wandb",
        "MLFLOW_TRACKING_TOKEN": f"{SECRET}trackers-GhIjKl#mlflow",
        "MLFLOW_TRACKING_PASSWORD": f"{SECRET}own",  # without the suffix that AWS gives
    }
    secrets = account.security.secrets.model_copy(update=named)
    security = account.security.model_copy(update={"secrets": secrets})
    found = of_template.of_account(account.model_copy(update={"security": security, "prefix": "team/dpo"}))
    assert found == {
        "Prefix": "team/dpo",
        "HubSecret": f"{SECRET}hub-AbCdEf,{SECRET}hub-AbCdEf-??????",
        "TrackingSecrets": f"{SECRET}own-??????,{SECRET}trackers-GhIjKl,{SECRET}trackers-GhIjKl-??????",
    }


@pytest.mark.parametrize("name", ["dpo-mlflow", "dpo-secret", "dpo-wandb-apikey", "dpo-trackers", "dpo"])
@pytest.mark.parametrize("suffix", ["", "-AbCdEf"])
def test_a_secrets_policy_holds_whether_or_not_its_arn_has_the_suffix(account: Any, name: str, suffix: str) -> None:
    """`-mlflow` looks like the suffix that AWS gives, and may be the end of the name."""
    arn = f"{SECRET.removesuffix('dpo-')}{name}"
    secrets = account.security.secrets.model_copy(update={"HF_TOKEN": arn + suffix, "WANDB_API_KEY": arn + suffix})
    security = account.security.model_copy(update={"secrets": secrets})
    found = of_template.of_account(account.model_copy(update={"security": security}))
    for parameter in ("HubSecret", "TrackingSecrets"):
        patterns = found[parameter].split(",")
        assert any(fnmatchcase(f"{arn}-AbCdEf", one) for one in patterns), patterns
        assert not any(fnmatchcase(f"{arn}-other-AbCdEf", one) for one in patterns), patterns


@pytest.mark.parametrize(
    ("known", "overrides", "needed"),
    [
        ({}, {}, False),
        ({}, {"VpcId": "vpc-1"}, True),
        ({"VpcId": "vpc-1", "S3PrefixList": ""}, {}, True),  # a stack of before has none
        ({"VpcId": "vpc-1", "S3PrefixList": "pl-1"}, {}, False),
        ({"VpcId": "vpc-1"}, {"S3PrefixList": "pl-1"}, False),
        ({"VpcId": "vpc-1"}, {"VpcId": ""}, False),
    ],
)
def test_only_a_stack_with_a_network_looks_for_the_prefix_list(
    known: dict[str, str], overrides: dict[str, str], needed: bool
) -> None:
    assert of_template.needs_prefix_list(known, overrides) == needed


def test_the_prefix_list_of_s3_is_found_or_asked_for() -> None:
    keys = {"aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": "us-east-1"}
    ec2 = boto3.client("ec2", **keys)
    name = "com.amazonaws.us-east-1.s3"
    wanted = {"Filters": [{"Name": "prefix-list-name", "Values": [name]}]}
    with Stubber(ec2) as stub:
        found = [{"PrefixListId": "pl-63a5400a", "PrefixListName": name}]
        stub.add_response("describe_managed_prefix_lists", {"PrefixLists": found}, wanted)
        stub.add_response("describe_managed_prefix_lists", {"PrefixLists": []}, wanted)
        assert of_template.prefix_list(ec2, "us-east-1") == "pl-63a5400a"
        with pytest.raises(UserError, match=r"has no prefix list com\.amazonaws\.us-east-1\.s3: .*S3PrefixList=pl-"):
            of_template.prefix_list(ec2, "us-east-1")


def test_only_logs_that_nobody_has_given_a_time_get_one() -> None:
    with mock_aws():
        logs = boto3.client("logs", region_name="us-east-1")
        processing, training = log_groups.GROUPS
        logs.create_log_group(logGroupName=f"{training}/others")
        logs.create_log_group(logGroupName=training)
        assert log_groups.without_retention(logs) == {processing: False, training: True}
        logs.put_retention_policy(logGroupName=training, retentionInDays=7)
        log_groups.keep_for(logs, log_groups.without_retention(logs), 90)
        assert log_groups.without_retention(logs) == {}
        days = {one["logGroupName"]: one.get("retentionInDays") for one in logs.describe_log_groups()["logGroups"]}
        assert days == {processing: 90, training: 7, f"{training}/others": None}
