"""Where the facts of an execution's page come from, on AWS or on this machine, behind the same few questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pipeline.aws.executions import StepSummary
from pipeline.versions.registry import ModelVersion

OF_FAILED = "failed"  # the folder in which Preprocess leaves its report when the data is not fit to train on


class Source(Protocol):
    """One execution. What has been removed, or may not be read, is None or empty, never an error of AWS's."""

    local: bool
    refused: list[str]  # what the caller may not read, and why, each once; known when all has been asked

    def definition(self) -> dict[str, Any]:
        """The rendered definition that it runs."""

    def properties(self, step: StepSummary) -> Mapping[str, Any]:
        """What DescribeProcessingJob or DescribeTrainingJob answers of a step's job; empty where there is none."""

    def read(self, uri: str) -> bytes | None:
        """The content of an S3 object."""

    def of_failed_job(self, step: StepSummary, output: str, name: str) -> bytes | None:
        """A file that a failed processing job wrote below /opt/ml/processing/output, where it is still there."""

    def shown(self, uri: str) -> str:
        """A URI as a person reaches it; here what lies there came from a file of theirs, or is a path."""

    def log(self, step: StepSummary) -> list[str]:
        """The lines that a step's job has logged so far."""

    def version(self, arn: str) -> ModelVersion | None:
        """A registered version, with whether it is its group's champion."""

    def champion(self, group: str) -> int | None:
        """The number of a group's newest approved version."""
