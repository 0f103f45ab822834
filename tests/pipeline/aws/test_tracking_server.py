"""Whether SageMaker makes a model package of each version in MLflow's registry; answers are botocore's Stubber's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.aws.tracking_server import registers_itself

SERVER = "arn:aws:sagemaker:us-east-1:111122223333:mlflow-tracking-server/dpo-tracking"
APP = "arn:aws:sagemaker:us-east-1:111122223333:mlflow-app/app-1"


@pytest.fixture
def stub() -> Iterator[Stubber]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    with Stubber(boto3.client("sagemaker", region_name="us-east-1", **keys)) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def said(stub: Stubber) -> Callable[[str], str | None]:
    def ask(uri: str) -> str | None:
        return registers_itself(lambda service: {"sagemaker": stub.client}[service], uri)

    return ask


@pytest.mark.parametrize(("answer", "kept_out"), [({"AutomaticModelRegistration": True}, True), ({}, False)])
def test_a_server_with_automatic_registration_gets_no_versions(
    stub, said, answer: dict[str, Any], kept_out: bool
) -> None:
    stub.add_response("describe_mlflow_tracking_server", answer, {"TrackingServerName": "dpo-tracking"})
    found = said(SERVER)
    assert (
        found == "no version was made in its model registry: SageMaker would register it once more by itself"
    ) is kept_out
    assert (found is None) is not kept_out


@pytest.mark.parametrize("mode", ["AutoModelRegistrationEnabled", "AutoModelRegistrationDisabled"])
def test_so_does_an_app(stub, said, mode: str) -> None:
    stub.add_response("describe_mlflow_app", {"ModelRegistrationMode": mode}, {"Arn": APP})
    assert (said(APP) is None) is (mode == "AutoModelRegistrationDisabled")


def test_where_it_cannot_be_asked_nothing_is_registered(stub, said) -> None:
    stub.add_client_error("describe_mlflow_app", "AccessDeniedException", "User is not authorized")
    assert (said(APP) or "").startswith("no version was made in its model registry, since sagemaker:DescribeMlflowApp ")


def test_a_server_that_is_not_amazons_is_not_asked_about(said) -> None:
    assert said("https://mlflow.test") is None
