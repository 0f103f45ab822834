"""The containers' images: built from `containers/` and this checkout's code, pushed to ECR, pinned by digest.

An image is tagged with the hash of the code in it, so that a run on this machine finds the one of this code and none
other. `push` writes the digest into the account's settings, on the line that named the image, and leaves the rest of
the file as it is: step caching looks at that text alone, and a tag may be moved.

Limits: ECR only; one platform. Pushing has run against moto's ECR and a stand-in for docker, not against
AWS.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.account import docker_command
from pipeline.aws.errors import described
from pipeline.errors import UserError
from pipeline.files import ROOT, write_text

NAMES = ("training", "processing", "spark")
ARCHITECTURE = "amd64"
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_DEFAULT_BASE = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)

Client = Callable[[str, str], Any]  # (service, region) -> client


@dataclass(frozen=True)
class Image:
    """One of the project's images.

    Attributes:
        uri: as the account's settings have it, by tag or by digest.
        code_version: the hash of the code that belongs in it.
    """

    name: str
    uri: str
    code_version: str

    @property
    def repository(self) -> str:
        """With its registry, without tag or digest."""
        return repository(self.uri)

    @property
    def reference(self) -> str:
        """The image of this code, by its tag."""
        return f"{self.repository}:{self.code_version}"

    @property
    def dockerfile(self) -> Path:
        return ROOT / "containers" / self.name / "Dockerfile"

    def base(self, build_args: Mapping[str, str]) -> str:
        """The image that it is built on."""
        found = _DEFAULT_BASE.search(self.dockerfile.read_text(encoding="utf-8"))
        return build_args.get("BASE_IMAGE") or (found[1] if found else "")


def repository(uri: str) -> str:
    """An image's URI without its tag or digest."""
    name = uri.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def build(image: Image, build_args: Mapping[str, str], client: Client, command: str) -> str:
    """Build an image from this checkout, on its base as its registry has it now; logs in where that is one of AWS.

    Returns:
        the base, by its digest; by its name where it was made on this machine, which has no digest.

    Raises:
        UserError: docker failed.
    """
    name = image.base(build_args)
    base = _by_digest(name, client, command)
    given = {**build_args, "BASE_IMAGE": base, "CODE_VERSION": image.code_version}
    labels = {"name": name, "digest": base.partition("@")[2]}
    options = [
        *(("--build-arg", f"{key}={value}") for key, value in given.items()),
        *(("--label", f"org.opencontainers.image.base.{key}={value}") for key, value in labels.items() if value),
    ]
    where = ["--file", str(image.dockerfile), "--tag", image.reference, "--platform", f"linux/{ARCHITECTURE}"]
    docker_command.run(["build", *where, *(word for option in options for word in option), str(ROOT)], command)
    return base


def _by_digest(base: str, client: Client, command: str) -> str:
    """A base by the digest that its tag has in the registry at this moment; pulls it, which the build would do too."""
    if "@" in base:
        log_in(base, client, command)
        return base
    if docker_command.digests(base) == []:
        return base
    log_in(base, client, command)
    docker_command.run(["pull", "--platform", f"linux/{ARCHITECTURE}", base], command)
    for digest in docker_command.digests(base) or ():
        if repository(digest) == repository(base):
            return digest
    raise UserError(f"{base}: docker knows no digest of it after pulling it; name it by its digest: {command}")


def push(image: Image, client: Client, command: str) -> str:
    """Push the image of this code; returns its URI by digest.

    Raises:
        UserError: it is not built, or not for SageMaker's machines; its repository is not there, or docker failed;
            what arrived in ECR is not one image.
    """
    registry, _, name = image.repository.partition("/")
    found = ECR.fullmatch(registry)
    if not found:
        raise UserError(
            f"images.{image.name}: {image.uri}: is not in ECR; write ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME"
        )
    architecture = docker_command.inspect(image.reference, "{{.Architecture}}")
    if architecture is None:
        raise UserError(
            f"images.{image.name}: {image.reference}: is not built; build it: "
            f"{command.replace('images push', 'images build')}"
        )
    if architecture != ARCHITECTURE:
        raise UserError(
            f"images.{image.name}: is built for {architecture}, and SageMaker's instances are {ARCHITECTURE}; build it "
            f"again: {command.replace('images push', 'images build')}"
        )
    ecr = client("ecr", found["region"])
    where = {"registryId": found["account"], "repositoryNames": [name]}
    if described(lambda: ecr.describe_repositories(**where)) is None:
        raise UserError(
            f"images.{image.name}: account {found['account']} has no repository {name} in {found['region']}; make it: "
            "python pipeline.py bootstrap, or without its stack: "
            f"aws ecr create-repository --repository-name {name} --region {found['region']}"
        )
    log_in(image.reference, client, command)
    docker_command.run(["push", image.reference], command)
    for digest in docker_command.digests(image.reference) or ():
        if repository(digest) == image.repository:
            _require_one_image(ecr, image, digest, command)
            return digest
    raise UserError(
        f"images.{image.name}: docker knows no digest of {image.reference} after pushing it; then: {command}"
    )


def _require_one_image(ecr: Any, image: Image, uri: str, command: str) -> None:
    """
    Raises:
        UserError: what ECR has under this digest is an index of images, not one image.
    """
    registry, _, name = image.repository.partition("/")
    digest = uri.partition("@")[2]
    where = {"registryId": registry.partition(".")[0], "repositoryName": name}
    found = ecr.describe_images(**where, imageIds=[{"imageDigest": digest}])["imageDetails"][0]
    kind = found.get("imageManifestMediaType", "")
    if kind in INDEXES:
        remove = f"aws ecr batch-delete-image --repository-name {name} --image-ids imageTag={image.code_version}"
        raise UserError(
            f"images.{image.name}: what was pushed is an index of images ({kind}), which SageMaker refuses; remove it: "
            f"{remove}; then build it again: {command.replace('images push', 'images build')}"
        )


def log_in(reference: str, client: Client, command: str) -> None:
    """Log docker in to the registry of an image, where that is ECR's; the password goes through a pipe."""
    registry = reference.partition("/")[0]
    found = ECR.fullmatch(registry)
    if not found:
        return
    answer = client("ecr", found["region"]).get_authorization_token()
    token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    user, _, password = token.partition(":")
    docker_command.run(["login", "--username", user, "--password-stdin", registry], command, stdin=password)


def pin(path: Path, name: str, uri: str) -> tuple[int, str] | None:
    """Write an image's URI into an account's file, in place of the one there; the rest of the file stays as it is.

    Returns:
        (line, the URI before), or None where it is this one already.
    """
    text = path.read_text(encoding="utf-8")
    node = _image_node(text, name)
    if node.value == uri:
        return None
    write_text(path, text[: node.start_mark.index] + uri + text[node.end_mark.index :])
    return node.start_mark.line + 1, node.value


def _image_node(text: str, name: str) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for wanted in ("images", name):
        node = next(value for key, value in node.value if key.value == wanted) if node else None
    if node is None:
        raise ValueError(f"images.{name} is not in the account's settings, which were read")
    return node


def chosen(names: Sequence[str], uris: Mapping[str, str | None], code_version: str, on_spark: bool) -> list[Image]:
    """The images of these names; without names those that a workflow uses.

    Raises:
        UserError: a name that is none, or that the account's settings have no URI for.
    """
    for name in names:
        if name not in NAMES:
            raise UserError(f"{name}: there is no such image; there are {', '.join(NAMES)}")
    taken = names or [name for name in NAMES if name != "spark" or on_spark]
    found = []
    for name in taken:
        uri = uris.get(name)
        if uri is None:
            raise UserError(f"images.{name}: the account's settings do not name it; write its URI there")
        found.append(Image(name, uri, code_version))
    return found
