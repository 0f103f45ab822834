"""A Processing step of this project: a module of `steps/` as its command, by default on one processing instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.steps import StepTypeEnum

from pipeline.step_kit import network_and_keys
from pipeline.step_kit.request_step import RequestStep

if TYPE_CHECKING:
    from pipeline.step_kit.scope import Scope


def processing_step(
    scope: Scope,
    name: str,
    *,
    entrypoint: Sequence[str],
    description: str,
    arguments: list[Any],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
    property_files: Mapping[str, tuple[str, str]],
    instance_type: str,
    volume_gb: int,
    max_runtime_hours: float,
    image: str | None = None,
    instance_count: int = 1,
    cached: bool = True,
    environment: Mapping[str, Any] | None = None,
    isolated: bool = True,
    secrets: Sequence[str] = (),
) -> RequestStep:
    """
    Args:
        inputs: name -> S3 URI; each arrives whole at every instance's /opt/ml/processing/input/<name>.
        outputs: name -> folder in the container; each ends under the execution's own prefix, so that no execution
            overwrites another's. Output paths are not part of a cache key.
        property_files: name -> (output, file in it).
        image: where it is not the processing image.
        cached: whether an earlier result may stand for this one, as the workflow's settings allow.
        environment: variables of the job, which are part of its cache key.
        isolated: whether it goes without network where the account's settings say so.
        secrets: variables that it gets from Secrets Manager, where the account's settings name them.
    """
    account = scope.workflow.account
    variables = {**(environment or {}), **network_and_keys.named_secrets(account.security, secrets)}
    request = {
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": instance_count,
                "InstanceType": instance_type,
                "VolumeSizeInGB": volume_gb,
                **network_and_keys.volume(account.security, instance_type),
            }
        },
        "AppSpecification": {
            "ImageUri": image or account.images.processing,
            "ContainerEntrypoint": list(entrypoint),
            "ContainerArguments": arguments,
        },
        **({"Environment": variables} if variables else {}),
        "RoleArn": account.role_arn,
        "ProcessingInputs": [_input(name, uri) for name, uri in inputs.items()],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": output,
                    "S3Output": {
                        "S3Uri": scope.run_uri(name, output),
                        "LocalPath": path,
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for output, path in outputs.items()
            ],
            **network_and_keys.output(account.security),
        },
        "NetworkConfig": network_and_keys.processing_network(account.security, isolated=isolated),
        "StoppingCondition": {"MaxRuntimeInSeconds": int(max_runtime_hours * 3600)},
        **scope.workflow.job_tags,
    }
    files = tuple(PropertyFile(file, output, path) for file, (output, path) in property_files.items())
    return RequestStep(
        name,
        StepTypeEnum.PROCESSING,
        request,
        display_name=name,
        description=description,
        cache=scope.cache if cached else None,
        property_files=files,
    )


def module(name: str) -> list[str]:
    """The command that runs a module of `steps/`."""
    return ["python3", "-m", name]


def _input(name: str, uri: Any) -> dict[str, Any]:
    return {
        "InputName": name,
        "AppManaged": False,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"/opt/ml/processing/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def output_uri(step: RequestStep, output: str) -> Any:
    """The S3 URI that a Processing step's output has once it ran."""
    return step.properties.ProcessingOutputConfig.Outputs[output].S3Output.S3Uri
