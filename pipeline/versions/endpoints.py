"""An endpoint as it stands, and watching it. Is handed its client; which model it serves is for `deployment`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.aws.errors import described
from pipeline.errors import UserError

TAG = "dpo-pipeline:model-package-group"  # on everything that `deploy` makes
POLL_SECONDS = 15
IN_SERVICE, FAILED = "InService", ("Failed", "UpdateRollbackFailed", "OutOfService")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as it stands.

    Attributes:
        config: the configuration in force, which during an update is still the old one.
        coming: the configuration that an update under way is bringing.
    """

    name: str
    arn: str
    status: str
    config: str
    coming: str | None = None
    failure_reason: str | None = None


def describe(sagemaker: Any, name: str) -> Endpoint | None:
    """An endpoint; None where there is none."""
    found = described(lambda: sagemaker.describe_endpoint(EndpointName=name))
    if found is None:
        return None
    return Endpoint(
        name,
        found["EndpointArn"],
        found["EndpointStatus"],
        found["EndpointConfigName"],
        found.get("PendingDeploymentSummary", {}).get("EndpointConfigName"),
        found.get("FailureReason"),
    )


def wait(sagemaker: Any, name: str, config: str, listen: Callable[[Endpoint], None]) -> Endpoint:
    """Poll until the endpoint serves that configuration; `listen` hears of every change of its status.

    Raises:
        UserError: it failed, or an update was rolled back.
    """
    heard = None
    while True:
        found = describe(sagemaker, name)
        if found is None:
            raise UserError(
                f"endpoint {name} is gone: somebody deleted it; deploy again: python pipeline.py deploy approved"
            )
        if found.status != heard:
            heard = found.status
            listen(found)
        if found.status in FAILED:
            raise UserError(f"endpoint {name}: {found.status}: {found.failure_reason or 'no reason given'}{_log(name)}")
        if found.status == IN_SERVICE:
            if found.config != config:
                raise UserError(f"endpoint {name}: the update to {config} failed and was rolled back; it still serves "
                                f"{found.config}: {found.failure_reason or 'no reason given'}{_log(name)}")  # fmt: skip
            return found
        time.sleep(POLL_SECONDS)


def is_ours(sagemaker: Any, arn: str) -> bool:
    """Whether a resource carries the tag that `deploy` sets."""
    return TAG in {tag["Key"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def require_ours(sagemaker: Any, endpoint: Endpoint) -> None:
    """
    Raises:
        UserError: the endpoint lacks the tag that `deploy` sets.
    """
    if not is_ours(sagemaker, endpoint.arn):
        raise UserError(
            f"endpoint {endpoint.name} was not made by this pipeline (it has no tag {TAG}), and is left as it is; "
            "give another name"
        )


def not_now(endpoint: Endpoint) -> str:
    """Why an endpoint takes no update now, and what to do."""
    if endpoint.status in FAILED:
        reason = f" ({endpoint.failure_reason})" if endpoint.failure_reason else ""
        return (
            f"endpoint {endpoint.name} is {endpoint.status}{reason} and cannot be updated; take it down, then deploy "
            f"again: python pipeline.py undeploy {endpoint.name}"
        )
    return (
        f"endpoint {endpoint.name} is {endpoint.status}; it takes no change before that is over; watch it: "
        f"aws sagemaker wait endpoint-in-service --endpoint-name {endpoint.name}"
    )


def _log(name: str) -> str:
    return f"; see its log: aws logs tail /aws/sagemaker/Endpoints/{name}"
