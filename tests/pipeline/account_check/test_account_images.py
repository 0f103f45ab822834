"""Images as ECR tells of them: media types, code and CUDA, against botocore's Stubber."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.stub import Stubber

from pipeline.account_check.context import Context
from pipeline.account_check.subjects import cuda, images
from tests.pipeline.moto_server import ACCOUNT

Stubs = Callable[[str], Stubber]


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


@pytest.mark.parametrize(("version", "level"), [(None, "unknown"), ("11.7.0", "error")])
def test_a_training_image_that_names_no_cuda_is_not_decided(context: Context, version: str | None, level: str) -> None:
    settings = context.workflow.settings
    train = settings.train.model_copy(update={"instance_type": "ml.p5.48xlarge"})
    workflow = replace(context.workflow, settings=settings.model_copy(update={"train": train}))
    (found,) = cuda.findings(replace(context, workflow=workflow), "training", version)
    assert found.level == level


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
