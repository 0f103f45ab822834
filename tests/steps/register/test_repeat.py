"""When a version is the one that would be registered now."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steps.register.repeat import is_repeat
from steps.register.request import Registration, package_request
from steps.shared.served_files import OF_APPROVAL, OF_MODEL


def request(status: str = "PendingManualApproval", **facts: str) -> dict[str, Any]:
    return package_request(
        Registration(
            group="g",
            description="d",
            approval_status=status,
            image="image",
            model_uri="s3://b/model/",
            environment={},
            instance_types=["ml.g5.2xlarge"],
            evaluation_uri="s3://b/e.json",
            report_uri="s3://b/r.json",
            card="{}",
            metadata={"execution_arn": "a", "variant": "merged", OF_MODEL: "1", **facts},
        )
    )


def test_the_execution_that_registered_it_makes_no_difference() -> None:
    assert is_repeat(request(), request(execution_arn="b"))
    assert is_repeat(request(), request(execution_arn="b", mlflow_run_id="2", mlflow_uri="http://tracker"))


@pytest.mark.parametrize("status", ["Approved", "Rejected"])
def test_nor_does_what_a_person_decided_since(status: str) -> None:
    assert is_repeat(request(status, **{OF_APPROVAL: "1"}), request(execution_arn="b"))


def test_but_a_status_that_is_asked_for_does() -> None:
    assert not is_repeat(request(), request("Approved"))
    assert is_repeat(request("Approved"), request("Approved"))


@pytest.mark.parametrize("name", [OF_MODEL, "variant", "data_hash"])
def test_so_do_other_files_or_facts(name: str) -> None:
    assert not is_repeat(request(), request(**{name: "other"}))


def test_so_does_another_place_of_the_model() -> None:
    other = copy.deepcopy(request())
    other["InferenceSpecification"]["Containers"][0]["ModelDataSource"]["S3DataSource"]["S3Uri"] = "s3://b/other/"
    assert not is_repeat(request(), other)


@pytest.mark.parametrize("package", [{}, {"InferenceSpecification": None}, {"CustomerMetadataProperties": []}, []])
def test_what_cannot_be_read_is_no_version_that_is_the_same(package: Any) -> None:
    assert not is_repeat(package, request())
    assert not is_repeat(request(), dict.fromkeys(request(), package))
