"""Definition of the Preprocess step: raw preference data in, train and validation Parquet and a report out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.processing import processing_step

if TYPE_CHECKING:
    from pipeline.definition import Scope
    from pipeline.request_step import RequestStep

OUTPUT = "/opt/ml/processing/output"


def build(scope: Scope) -> RequestStep:
    """Reads `InputDataUri`; outputs `train`, `validation`, `quarantine` and `report` (also a property file)."""
    settings, parameter = scope.workflow.settings.preprocess, scope.parameter
    return processing_step(
        scope,
        "Preprocess",
        module="steps.preprocess",
        description="Validate, convert, deduplicate and split the preference data.",
        arguments=[
            "--input", "/opt/ml/processing/input/data",
            "--output", OUTPUT,
            "--validation-fraction", parameter["ValidationFraction"].to_string(),
            "--max-invalid-fraction", parameter["MaxInvalidFraction"].to_string(),
        ],
        inputs={"data": parameter["InputDataUri"]},
        outputs={name: f"{OUTPUT}/{name}" for name in ("train", "validation", "quarantine", "report")},
        property_files={"report": ("report", "report.json")},
        instance_type=settings.instance_type,
        volume_gb=settings.volume_gb,
        max_runtime_hours=settings.max_runtime_hours,
    )  # fmt: skip
