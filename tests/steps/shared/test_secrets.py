"""Secrets as a container fetches them, from moto's Secrets Manager; what it refuses tells nothing of a value."""

from __future__ import annotations

import json
import os

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber
from moto import mock_aws

from steps.shared import secrets
from steps.shared.contract import StepError

VALUE = "hf_planted0123456789"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch):
    """A Secrets Manager of another region than the environment's; every variable is gone again after the test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in secrets.NAMES:
        monkeypatch.setenv(name, "")  # so that what `load` sets is undone
        monkeypatch.delenv(name)
        monkeypatch.delenv(name + secrets.SUFFIX, raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-west-1")


@pytest.fixture
def name_secret(manager, monkeypatch: pytest.MonkeyPatch):
    """`name_secret(variable, arn)`: as a definition names it."""
    return lambda name, arn: monkeypatch.setenv(name + secrets.SUFFIX, arn)


def kept(manager, value: str, name: str = "dpo/hub") -> str:
    return manager.create_secret(Name=name, SecretString=value)["ARN"]


def test_a_text_and_keys_of_an_object_reach_the_environment(manager, name_secret) -> None:
    both = kept(manager, json.dumps({"wandb": "w-planted", "mlflow": "m-planted"}), "dpo/trackers")
    name_secret("HF_TOKEN", kept(manager, f"{VALUE}\n"))
    name_secret("WANDB_API_KEY", f"{both}#wandb")
    name_secret("MLFLOW_TRACKING_PASSWORD", f"{both}#mlflow")
    secrets.load()
    assert os.environ["HF_TOKEN"] == VALUE
    assert (os.environ["WANDB_API_KEY"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("w-planted", "m-planted")
    assert "MLFLOW_TRACKING_TOKEN" not in os.environ


def test_a_variable_that_is_set_stays_and_nothing_is_asked(manager, name_secret, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "from the shell")
    name_secret("HF_TOKEN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-AbCdEf")
    secrets.load()
    assert os.environ["HF_TOKEN"] == "from the shell"


@pytest.mark.parametrize(
    ("value", "key", "said"),
    [
        (json.dumps({"token": VALUE}), "", "is a JSON object; name the key that is meant: "),
        (json.dumps({"token": VALUE}), "#hub", "has no text under the key hub; fix the secret or its name"),
        (json.dumps({"token": [VALUE]}), "#token", "has no text under the key token"),
        (VALUE, "#token", "is no JSON object and has no key token; leave #token out"),
        (" ", "", "has no text; fix the secret or its name"),
    ],
)
def test_a_secret_that_is_not_what_its_name_says_is_refused_without_its_value(
    manager, name_secret, value: str, key: str, said: str
) -> None:
    arn = kept(manager, value)
    name_secret("HF_TOKEN", arn + key)
    with pytest.raises(StepError) as error:
        secrets.load()
    assert str(error.value).startswith(f"HF_TOKEN: the secret {arn}: {said}")
    assert VALUE not in str(error.value)


def test_a_missing_secret_and_bytes_are_said(manager, name_secret) -> None:
    arn = manager.create_secret(Name="bytes", SecretBinary=VALUE.encode())["ARN"]
    name_secret("HF_TOKEN", arn)
    with pytest.raises(StepError, match="holds bytes and no text; store it as a text"):
        secrets.load()
    name_secret("HF_TOKEN", arn.replace("bytes", "gone"))
    with pytest.raises(StepError, match=r"there is no such secret; fix the ARN in security.secrets of the account's"):
        secrets.load()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDeniedException", "the job's role may not read it; allow secretsmanager:GetSecretValue on it"),
        ("DecryptionFailure", "the job's role may not use its key; allow kms:Decrypt on it in the role's policy"),
        ("InternalServiceError", "InternalServiceError: no; fix it, then retry the execution"),
    ],
)
def test_what_aws_refuses_names_the_action_to_allow(
    manager, name_secret, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    name_secret("HF_TOKEN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hub-AbCdEf")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: manager)
    with Stubber(manager) as stub:
        stub.add_client_error("get_secret_value", code, "no")
        with pytest.raises(StepError, match=said):
            secrets.load()


def test_a_network_without_a_way_to_aws_names_the_endpoint_to_add(
    manager, name_secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeout(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://secretsmanager.eu-west-1.amazonaws.com")

    name_secret("HF_TOKEN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hub-AbCdEf")
    monkeypatch.setattr(manager, "get_secret_value", timeout)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: manager)
    with pytest.raises(StepError, match=r"add the endpoint com\.amazonaws\.eu-west-1\.secretsmanager$"):
        secrets.load()
