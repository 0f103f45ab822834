"""AWS as the source of an execution's page: SageMaker's answers, the artifacts in S3, the logs in CloudWatch.

Is handed its clients. What the caller may not read is left out of the page and named in `refused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline.aws import downloads, executions
from pipeline.aws import errors as aws
from pipeline.aws.executions import StepSummary
from pipeline.versions import registry
from pipeline.versions.registry import ModelVersion
from pipeline.watching import job_logs

Found = TypeVar("Found")


@dataclass
class OnAws:
    """An execution in its account, by its ARN; `refused`: what could not be read, and why, each once."""

    sagemaker: Any
    s3: Any
    logs: Any
    arn: str
    refused: list[str] = field(default_factory=list)
    local: bool = False

    def definition(self) -> dict[str, Any]:
        return executions.parameters(self.sagemaker, self.arn)[1]

    def properties(self, step: StepSummary) -> Mapping[str, Any]:
        name, client = step.job_name, self.sagemaker
        if name is None:
            return {}
        if step.type == "Training":
            found = self._allowed(lambda: client.describe_training_job(TrainingJobName=name), "training jobs")
        else:
            found = self._allowed(lambda: client.describe_processing_job(ProcessingJobName=name), "processing jobs")
        return found or {}

    def read(self, uri: str) -> bytes | None:
        return self._allowed(lambda: downloads.read(self.s3, uri), f"the objects of {uri.split('/')[2]}")

    def of_failed_job(self, step: StepSummary, output: str, name: str) -> bytes | None:
        """SageMaker keeps nothing of a container's disk."""
        return None

    def shown(self, uri: str) -> str:
        return uri

    def log(self, step: StepSummary) -> list[str]:
        if step.job_name is None:
            return []
        found = self._allowed(lambda: job_logs.read(self.logs, step), "logs")
        return [line.message for line in found or []]

    def version(self, arn: str) -> ModelVersion | None:
        found = self._allowed(lambda: self.sagemaker.describe_model_package(ModelPackageName=arn), "model packages")
        if not found:
            return None
        (version,) = registry.with_champions([registry.version_of(found)])
        return version

    def champion(self, group: str) -> int | None:
        found = self._allowed(lambda: registry.statuses(self.sagemaker, group), "model packages")
        return registry.champion(found) if found else None

    def _allowed(self, look: Callable[[], Found], what: str) -> Found | None:
        """What a look finds; None where nothing is there any more, or where it is refused, which is then named."""
        from botocore.exceptions import ClientError

        try:
            return look()
        except ClientError as error:
            if aws.is_missing(error):
                return None
            if not aws.is_denied(error):
                raise
            said = f"{what} are not shown: {aws.refusal(error)}"
            if said not in self.refused:
                self.refused.append(said)
            return None
