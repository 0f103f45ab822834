"""What `check --account` says of what an endpoint keeps, against botocore's Stubber."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from pipeline.account_check.context import Context
from pipeline.account_check.subjects import capture
from pipeline.settings.collect import Collect

Stubs = Callable[[str], Stubber]
NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def collecting(context: Context) -> Context:
    settings = context.workflow.settings.model_copy(update={"collect": Collect()})
    return replace(context, workflow=replace(context.workflow, settings=settings))


def with_endpoint(stubs: Stubs, **config: Any) -> None:
    stub, times = stubs("sagemaker"), {"CreationTime": NOW}
    found = {"EndpointName": "dpo-quickstart", "EndpointConfigName": "c", "EndpointStatus": "InService"}
    arns = {"EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/dpo-quickstart"}
    stub.add_response(
        "describe_endpoint", {**found, **arns, **times, "LastModifiedTime": NOW}, {"EndpointName": "dpo-quickstart"}
    )
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/c"
    named = {"EndpointConfigName": "c", "EndpointConfigArn": arn, "ProductionVariants": [{"VariantName": "AllTraffic"}]}
    stub.add_response("describe_endpoint_config", {**named, **times, **config}, {"EndpointConfigName": "c"})


def kept(place: str, on: bool = True) -> dict[str, Any]:
    options = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]
    config = {"InitialSamplingPercentage": 25, "DestinationS3Uri": place, "CaptureOptions": options}
    return {"DataCaptureConfig": config | {"EnableCapture": on}}


def found(context: Context) -> list[tuple[str, str, str]]:
    return [(one.level, one.what, one.fix) for look in capture.looks(context) for one in look.find()]


def test_a_workflow_that_collects_nothing_is_not_looked_at(context: Context) -> None:
    assert list(capture.looks(context)) == []


def test_an_endpoint_that_is_not_there_yet_is_a_note(collecting: Context, stubs: Stubs) -> None:
    stubs("sagemaker").add_client_error(
        "describe_endpoint", "ValidationException", 'Could not find endpoint "dpo-quickstart".'
    )
    assert found(collecting) == [("note", "there is no endpoint dpo-quickstart yet, so nothing is captured", "")]


@pytest.mark.parametrize("config", [{}, kept("s3://elsewhere/", on=False)])
def test_an_endpoint_that_keeps_nothing_is_a_warning_with_the_command(
    collecting: Context, stubs: Stubs, config: dict[str, Any]
) -> None:
    with_endpoint(stubs, **config)
    assert found(collecting) == [
        (
            "warning",
            "the endpoint dpo-quickstart keeps nothing of requests and answers, and a run collects them",
            "python pipeline.py deploy VERSION --capture SHARE --settings s.yaml",
        )
    ]


def test_answers_that_lie_where_no_run_looks_are_a_warning(collecting: Context, stubs: Stubs) -> None:
    with_endpoint(stubs, **kept("s3://elsewhere/captures/"))
    ((level, what, _),) = found(collecting)
    read = collecting.workflow.captures_uri
    assert level == "warning" and what.endswith(f"in s3://elsewhere/captures/, and a run reads {read}")


def test_answers_that_a_run_reads_are_a_note_with_their_share(collecting: Context, stubs: Stubs) -> None:
    place = f"{collecting.workflow.captures_uri}version-3"
    with_endpoint(stubs, **kept(place))
    said = f"the endpoint dpo-quickstart keeps 25 % of requests and answers in {place}"
    assert found(collecting) == [("note", said, "")]
