"""What a step's definition is built from: the workflow, its parameters, and where an execution writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.mlops.workflow.steps import CacheConfig

from pipeline.settings.workflow import Workflow


@dataclass(frozen=True)
class Scope:
    """What every step's `build` gets: the workflow's settings and the pipeline's parameters by name."""

    workflow: Workflow
    parameter: Mapping[str, Any]
    cache: CacheConfig

    def run_uri(self, *parts: str) -> Join:
        """A prefix of this execution's own, without a slash at the end."""
        return Join(on="/", values=[f"{self.workflow.base_uri}/runs", ExecutionVariables.PIPELINE_EXECUTION_ID, *parts])
