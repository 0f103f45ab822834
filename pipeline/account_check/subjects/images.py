"""The images: in ECR and the right region, by digest, of a media type that SageMaker takes, of this checkout's code.

An index of images is refused by CreateModel; buildx makes one where it adds a record of the build (`images build`
switches that off). SageMaker has also refused single images in OCI's own format for endpoints, which only a real
account can show: that is a warning, for the image of endpoints alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from pipeline.account.images import ECR, INDEXES, repository
from pipeline.account_check import resources
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, warning
from pipeline.account_check.subjects import cuda
from pipeline.aws.errors import described

OCI = "application/vnd.oci.image.manifest.v1+json"
SINGLE = ("application/vnd.docker.distribution.manifest.v2+json", OCI)
VERSION = "org.opencontainers.image.version"
ACTIONS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


class Place(NamedTuple):
    """Where ECR keeps an image; `id` is its tag or digest, as the API takes it."""

    registry: str
    region: str
    name: str
    id: dict[str, str]


def looks(context: Context) -> Iterator[Look]:
    for name, uri in resources.images(context).items():
        yield Look(context.place("account", f"images.{name}"), ACTIONS, partial(_image, context, name, uri))


def place(uri: str) -> Place | None:
    """Where an image lies; None where that is not ECR."""
    whole = repository(uri)
    registry, _, name = whole.partition("/")
    found = ECR.fullmatch(registry)
    if not found:
        return None
    rest = uri[len(whole) :]
    tag, _, digest = rest.removeprefix(":").partition("@")
    return Place(
        found["account"], found["region"], name, {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    )


def _image(context: Context, name: str, uri: str) -> Iterator[Finding]:
    there, push = place(uri), _push(context, name)
    if there is None:
        yield error(f"{uri} is not in ECR, and jobs take images from there alone", push)
        return
    if there.region != context.region:
        yield error(
            f"the image lies in {there.region}, and jobs take images of their own region, {context.region}", push
        )
    ecr = context.client("ecr", there.region)
    request = {
        "registryId": there.registry,
        "repositoryName": there.name,
        "imageIds": [there.id],
        "acceptedMediaTypes": [*SINGLE, *INDEXES],
    }
    answer = described(lambda: ecr.batch_get_image(**request))
    if answer is None:
        yield error(f"account {there.registry} has no repository {there.name} in {there.region}", push)
        return
    if not answer["images"]:
        reasons = ", ".join(failure.get("failureReason", "no reason given") for failure in answer.get("failures", []))
        yield error(f"{uri} is not in its repository ({reasons})", push)
        return
    yield from _found(context, name, there, answer["images"][0])


def _push(context: Context, name: str) -> str:
    if name == "inference":
        return "name an image of AWS's list for LMI (vLLM) of this region, as configs/account.yaml shows it"
    return f"{context.command(f'images build {name}')}, then: {context.command(f'images push {name}')}"


def _found(context: Context, name: str, there: Place, image: dict[str, Any]) -> Iterator[Finding]:
    manifest = json.loads(image["imageManifest"])
    kind = image.get("imageManifestMediaType") or manifest.get("mediaType", "")
    if kind in INDEXES:
        yield error(f"it is an index of images ({kind}), which SageMaker refuses", _push(context, name))
        return
    if kind == OCI and name == "inference":
        yield warning(
            f"it has OCI's media type ({kind}), which CreateModel has refused",
            "where `deploy` is refused: pull it, and push it as docker's type (docker buildx build --provenance=false "
            "--output type=docker)",
        )
    if "imageDigest" not in there.id and name != "inference":
        yield warning(
            f"it is named by its tag {there.id['imageTag']}: whoever moves the tag changes what runs, and step caching "
            "does not notice",
            f"{context.command(f'images push {name}')}, which writes the digest",
        )
    yield from _contents(context, name, there, manifest)


def _contents(context: Context, name: str, there: Place, manifest: dict[str, Any]) -> Iterator[Finding]:
    """What the image's own configuration tells: of which code it is made, and its CUDA."""
    digest = manifest.get("config", {}).get("digest")
    if not digest:
        return
    where = {"registryId": there.registry, "repositoryName": there.name, "layerDigest": digest}
    address = context.client("ecr", there.region).get_download_url_for_layer(**where)["downloadUrl"]
    config = json.loads(context.read(address)).get("config") or {}
    version = (config.get("Labels") or {}).get(VERSION)
    if name != "inference" and version and version != context.workflow.code_version:
        yield warning(
            f"the image holds the code {version}, and this checkout's is {context.workflow.code_version}: jobs would "
            "run the image's",
            _push(context, name),
        )
    given = dict(entry.split("=", 1) for entry in config.get("Env") or [] if "=" in entry)
    yield from cuda.findings(context, name, given.get("CUDA_VERSION") or _of_tag(there.id.get("imageTag", "")))


def _of_tag(tag: str) -> str | None:
    """`13.0` of a tag with cu130 in it."""
    found = re.search(r"\bcu(\d+)(\d)\b", tag)
    return f"{found[1]}.{found[2]}" if found else None
