"""Register a version from a job, in place of a RegisterModel step, whose list of members is Pipelines' own.

Command:  python3 -m steps.register --group NAME --model-uri S3URI/ --card FILE --metadata NAME=VALUE … --output DIR
Inputs:   what the request says (`--help`); the model card that the gate wrote; the model registry: SageMaker's, or a
          local run's where LOCAL_REGISTRY names its folder.
Outputs:  a version in the model package group; OUTPUT/registered.json with its ARN and version, for later steps.
Limits:   an execution registers a variant once, however often its job runs, and not at all where the same files with
          the same facts are a version already, as after a run that came from the cache: on AWS such a version among the
          newest 50 is taken as it is, and the request's ClientToken is the same each time. Needs the metadata
          `execution_arn` and `variant`.
"""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steps.champion import approved, objects
from steps.register import folder
from steps.register.repeat import EXECUTION, is_repeat
from steps.register.request import Registration, package_request
from steps.shared import contract
from steps.shared.contract import StepError

LOOKED_AT = 50  # of a group's versions, the newest first; each is a call
NAMES = ("execution_arn", "variant")  # the metadata by which an execution knows its own version


def main(argv: list[str]) -> None:
    options = _parser().parse_args(argv)
    metadata = _pairs("--metadata", options.metadata)
    if missing := [name for name in NAMES if name not in metadata]:
        raise StepError(f"--metadata: {' and '.join(missing)} must be given: a second run tells its own version by it")
    version = Registration(
        group=options.group,
        description=options.description,
        approval_status=options.approval_status,
        image=options.image,
        model_uri=options.model_uri,
        environment=_pairs("--environment", options.environment),
        instance_types=options.instance_type,
        evaluation_uri=options.evaluation_uri,
        report_uri=options.report_uri,
        card=contract.read_json(options.card, "the model card")["content"],
        metadata=metadata,
    )
    if registry := os.environ.get(approved.VARIABLE):
        package = _add_here(version, Path(registry))
    else:
        package = _registered_before(version) or _create(version)
    arn = package["ModelPackageArn"]
    contract.write_json(
        options.output / "registered.json",
        {
            "model_package_arn": arn,
            "version": arn.rpartition("/")[2],
            "group": version.group,
            "variant": metadata["variant"],
            "approval_status": package["ModelApprovalStatus"],
            "model": version.model_uri,
        },
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m steps.register", description=__doc__.splitlines()[0])
    parser.add_argument("--group", required=True, help="model package group")
    parser.add_argument("--description", required=True, help="what the version is")
    parser.add_argument("--approval-status", required=True, help="of the new version")
    parser.add_argument("--image", required=True, help="the container that serves it")
    parser.add_argument("--model-uri", required=True, help="S3 prefix of the served folder, with a slash at the end")
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE", help="of that container")
    parser.add_argument("--instance-type", action="append", required=True, help="what may serve it")
    parser.add_argument("--evaluation-uri", required=True, help="S3 URI of the held-out figures")
    parser.add_argument("--report-uri", required=True, help="S3 URI of Preprocess's report")
    parser.add_argument("--card", type=Path, required=True, help="JSON file with the model card's text in `content`")
    parser.add_argument("--metadata", action="append", default=[], metavar="NAME=VALUE", help="facts of the version")
    parser.add_argument("--output", type=Path, required=True, help="folder for registered.json")
    return parser


def _pairs(option: str, words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise StepError(f"{option} {word}: must look like NAME=VALUE")
        found[name] = value
    return found


def _registered_before(version: Registration) -> approved.Package | None:
    """The version that an earlier run of this job, or another execution with the same outcome, has registered."""
    own, request = _identity(version.metadata), package_request(version)
    for found in approved.versions(version.group)[:LOOKED_AT]:
        package = approved.describe(version.group, found)
        known = f"version {package['ModelPackageVersion']} of {version.group}"
        if _identity(package.get("CustomerMetadataProperties") or {}) == own:
            print(f"{known} is this execution's: registered before")
            return package
        if is_repeat(package, request):
            print(f"{known} is the same, registered by {package['CustomerMetadataProperties'][EXECUTION]}")
            return package
    return None


def _identity(metadata: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(metadata.get(name) for name in NAMES)


def _create(version: Registration) -> approved.Package:
    """
    Raises:
        StepError: the model is not there, or the registry refuses the request.
    """
    _require_model(version)
    request = package_request(version)
    package = request | _create_on_aws(version, request)
    print(f"registered {package['ModelPackageArn']} ({package['ModelApprovalStatus']})")
    return package


def _add_here(version: Registration, registry: Path) -> approved.Package:
    """In a local run's registry, where a damaged version is in nobody's way.

    Raises:
        StepError: the model is not there, or the version cannot be stored.
    """
    _require_model(version)
    account = version.metadata["execution_arn"].partition(":pipeline/")[0]
    by = "/".join(map(str, _identity(version.metadata)))
    try:
        package = folder.add(registry, package_request(version), version.group, account, by)
    except (OSError, ValueError) as error:
        raise StepError(
            f"model package group {version.group}: the version cannot be stored in {registry} ({error}); fix that, "
            "then retry the execution: what training made is still there"
        ) from None
    print(f"registered {package['ModelPackageArn']} ({package['ModelApprovalStatus']})")
    return package


def _require_model(version: Registration) -> None:
    if not objects.present(version.model_uri):
        raise StepError(f"model package group {version.group}: the model {version.model_uri} does not exist")


def _create_on_aws(version: Registration, request: Mapping[str, Any]) -> dict[str, Any]:
    token = str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, _identity(version.metadata)))))
    with approved.translated(f"sagemaker:CreateModelPackage in the model package group {version.group}"):
        return approved.client("sagemaker").create_model_package(**request, ClientToken=token)


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
