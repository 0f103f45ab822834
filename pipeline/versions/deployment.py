"""Serve an approved version on a SageMaker endpoint, and take it down again.

An endpoint has a model and an endpoint configuration of each version that it served, named after it and the version, so
that a call that was cut off is simply repeated. To deploy to an endpoint that exists is SageMaker's blue/green update:
the old version answers until the new one is in service, and goes on if it never is. Only endpoints that carry this
pipeline's tag are changed or deleted. Is handed its client.

An adapter version is served on its base, which the container fetches from the hub or, as the execution role, from S3.
It answers a request that names the adapter (`"adapters": "dpo"`); one that does not gets the bare base's answer.

Limits: one variant on one instance, no autoscaling; a base that the hub gates wants its token in the container, which
nothing here gives: copy it to S3. Tested against moto's server, and where that falls short against botocore's model of
the API; it has not run against AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.aws.errors import described
from pipeline.errors import UserError
from pipeline.settings.security import Security
from pipeline.step_kit import network_and_keys
from pipeline.versions import capture
from pipeline.versions.capture import Capture
from pipeline.versions.endpoints import FAILED, IN_SERVICE, TAG, describe, is_ours, not_now, require_ours
from pipeline.versions.registry import APPROVED, ModelVersion, Options
from steps.shared import served_files
from steps.shared.serving import ADAPTER_NAME

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
NAME_LIMIT = 63
VERSION_TAG = "dpo-pipeline:model-package-version"
VARIANT = "AllTraffic"
# A large model takes longer to be fetched and to start than the default 8 minutes; these are the API's longest.
DOWNLOAD_SECONDS = START_SECONDS = 3600
# The drivers that SageMaker has by default are older than what an image for CUDA 13 needs (driver 580).
CUDA_13, CUDA_13_HOST = re.compile(r"\bcu13\d"), "al2023-ami-sagemaker-inference-gpu-4-1"


def require_approved(version: ModelVersion, options: Options) -> None:
    """
    Raises:
        UserError: the version is not approved, or with other files.
    """
    name = f"{version.group} version {version.version}"
    if version.approval_status != APPROVED:
        raise UserError(
            f"{name} is {version.approval_status}, and only an approved version is deployed; look at it and approve "
            f"it: python pipeline.py approve {version.version}{options}"
        )
    if served_files.is_approval_of_others(version.metadata):
        raise UserError(
            f"{name} was approved with other files than it is registered with now; look at it and approve it anew: "
            f"python pipeline.py approve {version.version}{options}"
        )


def adapter_name(version: ModelVersion) -> str | None:
    """What a request to an endpoint must name as `adapters`, where the version is an adapter on its base."""
    return ADAPTER_NAME if version.variant == "adapter" else None


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


def names(version: ModelVersion, endpoint: str, instance: str, captured: Capture | None = None) -> tuple[str, str]:
    """(model, configuration) of a version on an endpoint: the same ones every time."""
    model = f"{endpoint}-v{version.version}"
    return model, f"{model}-{instance.removeprefix('ml.').replace('.', '-')}{capture.suffix(captured)}"


def require_own_base(version: ModelVersion, security: Security) -> None:
    """
    Raises:
        UserError: the container would fetch the version's base itself, and the settings give it no network.
    """
    if security.network_isolation and version.variant == "adapter":
        raise UserError(
            f"{version.group} version {version.version} is an adapter, whose container fetches its base, and the "
            "account has security.network_isolation; register a merged version: python pipeline.py start --set "
            "MergeWeights=true"
        )


def deploy(
    sagemaker: Any,
    version: ModelVersion,
    endpoint: str,
    instance: str,
    role_arn: str,
    security: Security,
    check_files: Callable[[], None],
    captured: Capture | None = None,
) -> str:
    """Bring an endpoint to serve a version; `created`, `updating`, `under way` or `unchanged`. Does not wait for it.

    Args:
        check_files: raises UserError where the version's files are not to be served; asked where something changes.
        captured: what the endpoint keeps of requests and answers; None for nothing.

    Raises:
        UserError: the name is not one, the endpoint is not this pipeline's, or it cannot be changed now; what is there
            has another network or key than the settings name.
    """
    model, config = names(version, endpoint, instance, captured)
    kept = {"DataCaptureConfig": captured.request(version.version, security)} if captured else {}
    _check_names(endpoint, config)
    found = describe(sagemaker, endpoint)
    if found:
        require_ours(sagemaker, found)
        if (found.coming or found.config) == config and found.status not in FAILED:
            _require_secured(sagemaker, model, config, security, instance, kept)
            return "unchanged" if found.status == IN_SERVICE else "under way"
        if found.status != IN_SERVICE:
            raise UserError(not_now(found))
    check_files()
    tags = [{"Key": TAG, "Value": version.group}, {"Key": VERSION_TAG, "Value": str(version.version)}]
    _ensure_model(sagemaker, model, version, role_arn, security, tags)
    settled = kept | network_and_keys.volume(security, instance, "KmsKeyId")
    _ensure_config(sagemaker, config, model, instance, version.image or "", settled, tags)
    _require_secured(sagemaker, model, config, security, instance, kept)
    if found is None:
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config, Tags=tags)
        return "created"
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    sagemaker.add_tags(ResourceArn=found.arn, Tags=tags)
    return "updating"


def undeploy(sagemaker: Any, name: str) -> list[str]:
    """Delete an endpoint with the configurations and models of all versions that it served; returns their names.

    What an interrupted call left is deleted too.

    Raises:
        UserError: there is nothing of that name, or the endpoint is not this pipeline's.
    """
    found = describe(sagemaker, name)
    if found:
        require_ours(sagemaker, found)
    # Not those of an endpoint that is called like a version of this one.
    own_models, own_configs = (re.compile(rf"{re.escape(name)}-v\d+{rest}") for rest in ("", r"-(?!v\d+-)[a-z0-9-]+"))
    config_pages = sagemaker.get_paginator("list_endpoint_configs").paginate()
    model_pages = sagemaker.get_paginator("list_models").paginate()
    configs = _ours(sagemaker, config_pages, "EndpointConfig", own_configs)
    models = _ours(sagemaker, model_pages, "Model", own_models)
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


def _check_names(endpoint: str, config: str) -> None:
    if not NAME.fullmatch(endpoint) or len(config) > NAME_LIMIT:
        longest = NAME_LIMIT - (len(config) - len(endpoint))
        raise UserError(
            f"endpoint {endpoint!r}: must be letters, digits and single -, at most {longest}; give another --name"
        )


def _require_secured(
    sagemaker: Any, model: str, config: str, security: Security, instance: str, kept: Mapping[str, Any]
) -> None:
    """That model and configuration, whoever made them when, are what the settings say today.

    Raises:
        UserError: they are not.
    """
    made = sagemaker.describe_model(ModelName=model) | sagemaker.describe_endpoint_config(EndpointConfigName=config)
    wanted = network_and_keys.model_network(security) | network_and_keys.volume(security, instance, "KmsKeyId")
    of_capture = [capture.facts(one.get("DataCaptureConfig") or {}) for one in (made, kept)]
    if _secured(made) != _secured(wanted) or of_capture[0] != of_capture[1]:
        endpoint = model.rpartition("-v")[0]
        raise UserError(
            f"{model} was deployed with other security settings than the account has now; take it down, then deploy "
            f"again: python pipeline.py undeploy {endpoint}"
        )


def _secured(described: Mapping[str, Any]) -> tuple[object, ...]:
    """What a model and its configuration have of the security settings. The API promises neither an order, nor that a
    key is named as it was given: by id or by ARN."""
    vpc = described.get("VpcConfig") or {}
    members = [frozenset(vpc.get(name, ())) for name in ("Subnets", "SecurityGroupIds")]
    key = (described.get("KmsKeyId") or "").rpartition("/")[2]
    return bool(described.get("EnableNetworkIsolation")), key, *members


def _ensure_model(
    sagemaker: Any, name: str, version: ModelVersion, role_arn: str, security: Security, tags: list[dict[str, str]]
) -> None:
    """Make the model, unless an earlier call did.

    Raises:
        UserError: a model of that name is of another version.
    """
    found = described(lambda: sagemaker.describe_model(ModelName=name))
    if found is None:
        sagemaker.create_model(
            ModelName=name,
            Containers=[{"ModelPackageName": version.arn}],
            ExecutionRoleArn=role_arn,
            Tags=tags,
            **network_and_keys.model_network(security),
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
    sagemaker: Any,
    name: str,
    model: str,
    instance: str,
    image: str,
    settled: Mapping[str, Any],
    tags: list[dict[str, str]],
) -> None:
    if described(lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name)) is not None:
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
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags, **settled)


def _ours(sagemaker: Any, pages: Iterable[Mapping[str, Any]], kind: str, pattern: re.Pattern[str]) -> list[str]:
    """The names in a list operation's pages, where they match and carry the tag that `deploy` sets."""
    entries = [entry for page in pages for entry in page[f"{kind}s"]]
    matching = [entry for entry in entries if pattern.fullmatch(entry[f"{kind}Name"])]
    return sorted(entry[f"{kind}Name"] for entry in matching if is_ours(sagemaker, entry[f"{kind}Arn"]))
