"""A Processing job of this project, which renders itself as a pipeline step: a module of `steps/`, on its instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.steps import StepTypeEnum

from pipeline.step_kit import network_and_keys
from pipeline.step_kit.request_step import RequestStep

if TYPE_CHECKING:
    from pipeline.settings.account import RoleName
    from pipeline.settings.security import Security
    from pipeline.step_kit.scope import Scope


@dataclass(frozen=True)
class Instances:
    """What a job runs on, and for how long at most; by default what a lookup or a verdict takes."""

    type: str
    volume_gb: int = 30
    max_runtime_hours: float = 1
    count: int = 1


@dataclass(frozen=True)
class ProcessingJob:
    """What differs between this project's Processing jobs.

    Attributes:
        role: whose permissions it has, by its name in the account's settings.
        command: the container's entrypoint, such as `module("steps.gate")`.
        arguments: the words after it; pipeline variables may stand among them.
        outputs: name -> folder in the container; each ends under the execution's own prefix, so that no execution
            overwrites another's. Output paths are not part of a cache key.
        inputs: name -> S3 URI; each arrives whole at every instance's /opt/ml/processing/input/<name>.
        property_files: name -> (output, file in it).
        image: where it is not the processing image.
        environment: variables of the job, which are part of its cache key.
        secrets: variables that it gets from Secrets Manager, where the account's settings name them.
        folder: of its outputs below the execution's prefix, where it is not the step's name (a role writes below its
            own step's).
        isolated: whether it goes without network where the account's settings say so.
    """

    role: RoleName
    command: Sequence[str]
    arguments: Sequence[Any]
    outputs: Mapping[str, str]
    instances: Instances
    inputs: Mapping[str, Any] = field(default_factory=dict)
    property_files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    image: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    folder: str | None = None
    isolated: bool = True

    def step(self, scope: Scope, name: str, description: str, *, cached: bool = True) -> RequestStep:
        """The job as a step of the pipeline.

        Args:
            cached: whether an earlier result may stand for this one, as the workflow's settings allow.
        """
        return RequestStep(
            name,
            StepTypeEnum.PROCESSING,
            self._request(scope, name),
            display_name=name,
            description=description,
            cache=scope.cache if cached else None,
            property_files=tuple(PropertyFile(file, *where) for file, where in self.property_files.items()),
        )

    def _request(self, scope: Scope, step: str) -> dict[str, Any]:
        account = scope.workflow.account
        variables = {**self.environment, **network_and_keys.named_secrets(account.security, self.secrets)}
        return {
            "ProcessingResources": {"ClusterConfig": self._cluster(account.security)},
            "AppSpecification": {
                "ImageUri": self.image or account.images.processing,
                "ContainerEntrypoint": list(self.command),
                "ContainerArguments": list(self.arguments),
            },
            **({"Environment": variables} if variables else {}),
            "RoleArn": account.role_of(self.role),
            "ProcessingInputs": [_input(name, uri) for name, uri in self.inputs.items()],
            "ProcessingOutputConfig": {
                "Outputs": [
                    _output(name, path, scope.run_uri(self.folder or step, name)) for name, path in self.outputs.items()
                ],
                **network_and_keys.output(account.security),
            },
            "NetworkConfig": network_and_keys.processing_network(account.security, isolated=self.isolated),
            "StoppingCondition": {"MaxRuntimeInSeconds": int(self.instances.max_runtime_hours * 3600)},
            **scope.workflow.job_tags,
        }

    def _cluster(self, security: Security) -> dict[str, Any]:
        return {
            "InstanceCount": self.instances.count,
            "InstanceType": self.instances.type,
            "VolumeSizeInGB": self.instances.volume_gb,
            **network_and_keys.volume(security, self.instances.type),
        }


def module(name: str) -> list[str]:
    """The command that runs a module of `steps/`."""
    return ["python3", "-m", name]


def output_uri(step: RequestStep, output: str) -> Any:
    """The S3 URI that a Processing step's output has once it ran."""
    return step.properties.ProcessingOutputConfig.Outputs[output].S3Output.S3Uri


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


def _output(name: str, path: str, uri: Any) -> dict[str, Any]:
    return {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"}}
