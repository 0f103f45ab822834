"""A pipeline step made from the very request that the service will get.

The SDK's own job steps want a Processor or ModelTrainer, which call S3, STS and IAM while rendering and cannot express
all of the request (pipeline variables for spot and volume, MlflowConfig). With the request written out, a render needs
neither credentials nor network; `pipeline/checks/api_model.py` checks it against the API model.
"""

from __future__ import annotations

from typing import Any

from sagemaker.core.workflow.properties import Properties, PropertyFile
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ConfigurableRetryStep, StepTypeEnum

DESCRIBED_AS = {
    StepTypeEnum.PROCESSING: "DescribeProcessingJobResponse",
    StepTypeEnum.TRAINING: "DescribeTrainingJobResponse",
    StepTypeEnum.REGISTER_MODEL: "DescribeModelPackageOutput",
}


class RequestStep(ConfigurableRetryStep):
    """A Processing, Training or RegisterModel step whose arguments are `request`."""

    def __init__(
        self,
        name: str,
        step_type: StepTypeEnum,
        request: dict[str, Any],
        *,
        display_name: str,
        description: str,
        cache: CacheConfig | None = None,
        property_files: tuple[PropertyFile, ...] = (),
    ):
        super().__init__(
            name,
            step_type,
            display_name=display_name,
            description=description,
            retry_policies=retry_policies(step_type),
        )
        self._request, self.cache_config, self.property_files = request, cache, property_files
        self._properties = Properties(step_name=name, step=self, shape_name=DESCRIBED_AS[step_type])

    @property
    def arguments(self) -> dict[str, Any]:
        return self._request

    @property
    def properties(self) -> Properties:
        return self._properties

    def to_request(self) -> dict[str, Any]:
        request = super().to_request()
        if self.cache_config:
            request.update(self.cache_config.config)
        if self.property_files:
            request["PropertyFiles"] = [file.expr for file in self.property_files]
        return request


def retry_policies(step_type: StepTypeEnum) -> list[StepRetryPolicy | SageMakerJobStepRetryPolicy]:
    """Retries of what is the service's fault; a script's own error is never retried.

    All end by a number of attempts: minutes would count from the step's start (ExpireAfterMin), so that a fault at
    hour 30 of a training would not be repeated. Capacity is waited for with growing pauses, 22 hours together: a GPU
    instance that is short now is often there in an hour. A job that the service broke costs each time it runs again,
    so that it gets few attempts.
    """
    faults = StepRetryPolicy(
        exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
        interval_seconds=10,
        backoff_rate=2.0,
        max_attempts=5,
    )
    if step_type == StepTypeEnum.REGISTER_MODEL:
        return [faults]
    broken = SageMakerJobStepRetryPolicy(
        failure_reason_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR],
        interval_seconds=60,
        backoff_rate=2.0,
        max_attempts=3,
    )
    capacity = SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
        failure_reason_types=[SageMakerJobExceptionTypeEnum.CAPACITY_ERROR],
        interval_seconds=60,
        backoff_rate=1.5,
        max_attempts=16,
    )
    return [faults, broken, capacity]
