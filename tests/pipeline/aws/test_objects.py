"""The look at what an execution reads, with answers checked against botocore's model of S3."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pipeline.aws.objects import input_problems
from steps.preprocess.read.inputs import SUFFIXES

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def stub(aws):
    client = boto3.client("s3")
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def looked(stub: Stubber, name: str, uri: str) -> tuple[list[str], list[str]]:
    heard: list[str] = []
    return input_problems(stub.client, {name: uri}, heard.append), heard


def add(stub: Stubber, *keys: str, **more: object) -> None:
    stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in keys], **more})


def test_data_on_a_later_page_is_found(stub: Stubber) -> None:
    add(stub, "d/", "d/readme.txt", IsTruncated=True, NextContinuationToken="2")
    add(stub, "d/deep/b.jsonl.zst")
    assert looked(stub, "InputDataUri", "s3://bucket/d/") == ([], [])


def test_files_that_preprocess_leaves_alone_are_no_data_and_five_are_named(stub: Stubber) -> None:
    add(stub, "d/.hidden/a.jsonl", *(f"d/{number}.txt" for number in range(9)))
    held = ".hidden/a.jsonl, 0.txt, 1.txt, 2.txt, 3.txt"
    expected = f"there is no file that Preprocess reads (it holds {held}); readable are {', '.join(SUFFIXES)}"
    problems, _ = looked(stub, "ValidationDataUri", "s3://bucket/d/")
    assert problems == [f"ValidationDataUri: s3://bucket/d/: {expected}"]


def test_one_file_may_be_named_and_a_model_may_hold_anything(stub: Stubber) -> None:
    add(stub, "d/pairs.parquet")
    assert looked(stub, "InputDataUri", "s3://bucket/d/pairs.parquet") == ([], [])
    add(stub, "m/config.json")
    assert looked(stub, "ModelUri", "s3://bucket/m/") == ([], [])


def test_a_folder_that_a_console_made_is_not_there(stub: Stubber) -> None:
    add(stub, "m/")
    (problem,), _ = looked(stub, "ModelUri", "s3://bucket/m/")
    assert problem == "ModelUri: s3://bucket/m/: there is no object; upload it there, or name another place"


def test_what_may_not_be_listed_is_said_and_stops_nothing(stub: Stubber) -> None:
    stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    problems, heard = looked(stub, "InputDataUri", "s3://other/d/")
    assert problems == []
    assert heard == [
        "InputDataUri: s3://other/d/: these credentials may not list it (s3:ListBucket); it was not looked for"
    ]


def test_a_bucket_that_is_not_there_is_a_problem_and_an_outage_is_an_error(stub: Stubber) -> None:
    stub.add_client_error("list_objects_v2", "NoSuchBucket", http_status_code=404)
    assert looked(stub, "ModelUri", "s3://gone/m/") == (["ModelUri: s3://gone/m/: there is no bucket gone"], [])
    stub.add_client_error("list_objects_v2", "SlowDown", http_status_code=503)
    with pytest.raises(ClientError):
        looked(stub, "ModelUri", "s3://gone/m/")
