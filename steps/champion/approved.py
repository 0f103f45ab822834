"""A model package group as a job sees it: SageMaker's registry, or the folder of a local run's.

The documents are DescribeModelPackage's answers in both. Limits: reads only; one group of the job's own account.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steps.shared.contract import StepError

VARIABLE = "LOCAL_REGISTRY"  # set by the local executor: the registry's folder
Package = dict[str, Any]
DENIED = {"AccessDenied", "AccessDeniedException"}
THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}


def versions(group: str) -> list[Package]:
    """The versions of a group, newest first, each with its number, status and ARN; none where there is no such group.

    Raises:
        StepError: the registry does not answer.
    """
    if folder := os.environ.get(VARIABLE):
        home = Path(folder) / group
        found = [_read(place / "package.json") for place in home.glob("*") if place.name.isdecimal()]
    else:
        found = _listed(group)
    return sorted(found, key=lambda package: package["ModelPackageVersion"], reverse=True)


def describe(group: str, version: Package) -> Package:
    """One of `versions`, whole.

    Raises:
        StepError: the registry does not answer.
    """
    if VARIABLE in os.environ:
        return version
    with translated(f"sagemaker:DescribeModelPackage on the model package group {group}"):
        return client("sagemaker").describe_model_package(ModelPackageName=version["ModelPackageArn"])


def _listed(group: str) -> list[Package]:
    from botocore.exceptions import ClientError

    with translated(f"sagemaker:ListModelPackages on the model package group {group}"):
        pages = client("sagemaker").get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        try:
            return [package for page in pages for package in page["ModelPackageSummaryList"]]
        except ClientError as error:
            if _is_missing(error):  # the first registration makes the group
                return []
            raise


def client(service: str) -> Any:
    """A client of the job's own region that retries throttled calls."""
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(retries={"mode": "standard", "total_max_attempts": 6}))


def _is_missing(error: Any) -> bool:
    """SageMaker calls a group that is not there a validation error."""
    details = error.response["Error"]
    said = re.search(r"does not exist|not found", details.get("Message", ""), re.IGNORECASE)
    return details.get("Code") == "ValidationException" and said is not None


@contextmanager
def translated(call: str) -> Iterator[None]:
    """Raise botocore's errors as one line that names the call: the action, and what it is done to."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        details = getattr(error, "response", {}).get("Error", {})
        code, message = details.get("Code", ""), " ".join(str(details.get("Message") or error).split())
        if code in DENIED:
            said = f"the job's role may not do this ({message}); allow the action in the role's policy"
        elif code in THROTTLED:
            said = "throttled after several tries; retry the execution"
        else:
            said = f"{code + ': ' if code else ''}{message}; fix it, then retry the execution"
        raise StepError(f"{call}: {said}") from None


def _read(file: Path) -> Package:
    """Raises StepError where the file of a version is damaged or gone: it may be the champion's."""
    try:
        package = json.loads(file.read_text(encoding="utf-8"))
        package["ModelPackageVersion"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        file = file.resolve()  # a job's tree has a link to the registry, which is gone when somebody reads this
        wrong = "gone" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        fix = f"restore it, or remove the folder {file.parent}, then retry the execution"
        raise StepError(f"{file}: the file of a registered version is {wrong}; {fix}") from None
    return package
