"""Serve an approved version on a SageMaker endpoint, and take it down again.

An endpoint has a model and an endpoint configuration of each version that it served, named after it and the version, so
that a call that was cut off is simply repeated. To deploy to an endpoint that exists is SageMaker's blue/green update:
the old version answers until the new one is in service, and goes on if it never is. Only endpoints that carry this
pipeline's tag are changed or deleted. Is handed its client.

Limits: one variant on one instance, no autoscaling; an adapter version is refused, because the LMI container loads
adapters from a folder `adapters/` that its package does not have and would answer with the bare base. Tested against
moto's server, and where that falls short against botocore's model of the API; it has not run against AWS.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.aws import is_missing
from pipeline.errors import UserError
from pipeline.registry import APPROVED, ModelVersion, Options

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
NAME_LIMIT = 63
TAG = "dpo-pipeline:model-package-group"
VERSION_TAG = "dpo-pipeline:model-package-version"
VARIANT = "AllTraffic"
POLL_SECONDS = 15
IN_SERVICE, FAILED = "InService", ("Failed", "UpdateRollbackFailed", "OutOfService")
# A large model takes longer to be fetched and to start than the default 8 minutes; these are the API's longest.
DOWNLOAD_SECONDS = START_SECONDS = 3600
# The drivers that SageMaker has by default are older than what an image for CUDA 13 needs (driver 580).
CUDA_13, CUDA_13_HOST = re.compile(r"\bcu13\d"), "al2023-ami-sagemaker-inference-gpu-4-1"


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


def require_servable(version: ModelVersion, options: Options) -> None:
    """
    Raises:
        UserError: the version is not approved, or is an adapter.
    """
    name = f"{version.group} version {version.version}"
    if version.approval_status != APPROVED:
        raise UserError(
            f"{name} is {version.approval_status}, and only an approved version is deployed; look at it and approve "
            f"it: python pipeline.py approve {version.version}{options}"
        )
    if version.variant == "adapter":
        raise UserError(
            f"{name} is an adapter, which the serving container would leave out and answer with the bare base; "
            f"register a merged model: python pipeline.py start{options.place} --set MergeWeights=true --wait"
        )


def instance_type(version: ModelVersion, wanted: str | None) -> str:
    """The instance type to serve a version on: the wanted one, or the first that its package names.

    Raises:
        UserError: the package does not name it, or names none.
    """
    there = version.instance_types
    if wanted is None and there:
        return there[0]
    if wanted is None or (there and wanted not in there):
        named = f"its package supports {', '.join(there)}" if there else "its package names none: add --instance-type"
        raise UserError(
            f"{version.group} version {version.version}: instance type {wanted}: {named}; "
            "more are named in the workflow's register.inference_instance_types, for versions to come"
        )
    return wanted


def names(version: ModelVersion, endpoint: str, instance: str) -> tuple[str, str]:
    """(model, configuration) of a version on an endpoint: the same ones every time."""
    model = f"{endpoint}-v{version.version}"
    return model, f"{model}-{instance.removeprefix('ml.').replace('.', '-')}"


def deploy(sagemaker: Any, version: ModelVersion, endpoint: str, instance: str, role_arn: str) -> str:
    """Bring an endpoint to serve a version; `created`, `updating`, `under way` or `unchanged`. Does not wait for it.

    Raises:
        UserError: the name is not one, the endpoint is not this pipeline's, or it cannot be changed now.
    """
    model, config = names(version, endpoint, instance)
    _check_names(endpoint, config)
    found = describe(sagemaker, endpoint)
    if found:
        _require_ours(sagemaker, found)
        if (found.coming or found.config) == config and found.status not in FAILED:
            return "unchanged" if found.status == IN_SERVICE else "under way"
        if found.status != IN_SERVICE:
            raise UserError(_not_now(found))
    tags = [{"Key": TAG, "Value": version.group}, {"Key": VERSION_TAG, "Value": str(version.version)}]
    _ensure_model(sagemaker, model, version, role_arn, tags)
    _ensure_config(sagemaker, config, model, instance, version.image or "", tags)
    if found is None:
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config, Tags=tags)
        return "created"
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    sagemaker.add_tags(ResourceArn=found.arn, Tags=tags)
    return "updating"


def wait(sagemaker: Any, name: str, config: str, listen: Callable[[Endpoint], None]) -> Endpoint:
    """Poll until the endpoint serves that configuration; `listen` hears of every change of its status.

    Raises:
        UserError: it failed, or an update was rolled back.
    """
    heard = None
    while True:
        found = describe(sagemaker, name)
        if found is None:
            raise UserError(f"endpoint {name} is gone; somebody deleted it")
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


def undeploy(sagemaker: Any, name: str) -> list[str]:
    """Delete an endpoint with the configurations and models of all versions that it served; returns their names.

    What an interrupted call left is deleted too.

    Raises:
        UserError: there is nothing of that name, or the endpoint is not this pipeline's.
    """
    found = describe(sagemaker, name)
    if found:
        _require_ours(sagemaker, found)
    own = re.compile(rf"{re.escape(name)}-v\d+(-[a-z0-9-]+)?")
    configs = _named(sagemaker, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", own)
    models = _named(sagemaker, "list_models", "Models", "ModelName", own)
    if not (found or configs or models):
        there = [entry["EndpointName"] for page in sagemaker.get_paginator("list_endpoints").paginate()
                 for entry in page["Endpoints"]]  # fmt: skip
        named = f"there are {', '.join(sorted(there))}" if there else "there are none in this account and region"
        raise UserError(f"there is no endpoint {name!r}; {named}")
    if found:
        sagemaker.delete_endpoint(EndpointName=name)
    for config in configs:
        sagemaker.delete_endpoint_config(EndpointConfigName=config)
    for model in models:
        sagemaker.delete_model(ModelName=model)
    return [*([name] if found else []), *configs, *models]


def describe(sagemaker: Any, name: str) -> Endpoint | None:
    """An endpoint; None where there is none."""
    found = _described(lambda: sagemaker.describe_endpoint(EndpointName=name))
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


def _described(describe: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        return describe()
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _check_names(endpoint: str, config: str) -> None:
    if not NAME.fullmatch(endpoint) or len(config) > NAME_LIMIT:
        longest = NAME_LIMIT - (len(config) - len(endpoint))
        raise UserError(
            f"endpoint {endpoint!r}: must be letters, digits and single -, at most {longest}; give another --name"
        )


def _require_ours(sagemaker: Any, endpoint: Endpoint) -> None:
    """
    Raises:
        UserError: the endpoint lacks the tag that `deploy` sets.
    """
    tags = {tag["Key"] for tag in sagemaker.list_tags(ResourceArn=endpoint.arn)["Tags"]}
    if TAG not in tags:
        raise UserError(
            f"endpoint {endpoint.name} was not made by this pipeline (it has no tag {TAG}), and is left as it is; "
            "give another name"
        )


def _not_now(endpoint: Endpoint) -> str:
    if endpoint.status in FAILED:
        reason = f" ({endpoint.failure_reason})" if endpoint.failure_reason else ""
        return (
            f"endpoint {endpoint.name} is {endpoint.status}{reason} and cannot be updated; take it down, then deploy "
            f"again: python pipeline.py undeploy {endpoint.name}"
        )
    return f"endpoint {endpoint.name} is {endpoint.status}; it takes no change before that is over: try again later"


def _ensure_model(sagemaker: Any, name: str, version: ModelVersion, role_arn: str, tags: list[dict[str, str]]) -> None:
    """Make the model, unless an earlier call did.

    Raises:
        UserError: a model of that name is of another version.
    """
    found = _described(lambda: sagemaker.describe_model(ModelName=name))
    if found is None:
        sagemaker.create_model(
            ModelName=name,
            Containers=[{"ModelPackageName": version.arn}],
            ExecutionRoleArn=role_arn,
            Tags=tags,
        )
        return
    packages = {container.get("ModelPackageName") for container in _containers(found)}
    if packages != {version.arn}:
        raise UserError(
            f"a model {name} is there already, and is not of {version.arn}; give another --name, or delete it: "
            f"aws sagemaker delete-model --model-name {name}"
        )


def _containers(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    return model.get("Containers") or [model.get("PrimaryContainer", {})]


def _ensure_config(
    sagemaker: Any, name: str, model: str, instance: str, image: str, tags: list[dict[str, str]]
) -> None:
    if _described(lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name)) is not None:
        return  # its name says all that differs between configurations of one endpoint
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InstanceType": instance,
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
        "ModelDataDownloadTimeoutInSeconds": DOWNLOAD_SECONDS,
        "ContainerStartupHealthCheckTimeoutInSeconds": START_SECONDS,
    }
    if CUDA_13.search(image):
        variant["InferenceAmiVersion"] = CUDA_13_HOST
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)


def _named(sagemaker: Any, operation: str, key: str, field: str, pattern: re.Pattern[str]) -> list[str]:
    pages = sagemaker.get_paginator(operation).paginate()
    return sorted(entry[field] for page in pages for entry in page[key] if pattern.fullmatch(entry[field]))


def _log(name: str) -> str:
    return f"; see its log: aws logs tail /aws/sagemaker/Endpoints/{name}"
