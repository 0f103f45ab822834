"""Parameters: each reaches a place, keeps within its rules, and is documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import settings
from pipeline.parameters import SETTINGS, TRAINING, parameters, range_problems
from pipeline.rendering import render
from steps.train.arguments import TrainArguments

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workflow() -> settings.Workflow:
    return settings.load(ROOT / "configs" / "quickstart.yaml")


def test_every_parameter_is_used_somewhere_and_has_help(workflow: settings.Workflow) -> None:
    definition = json.loads(render(workflow))
    steps = json.dumps(definition["Steps"])
    for parameter in parameters(workflow):
        assert f'"Parameters.{parameter.name}"' in steps
        assert parameter.help.endswith(".")
    assert [entry["Name"] for entry in definition["Parameters"]] == [entry.name for entry in parameters(workflow)]


def test_training_parameters_are_arguments_of_the_training_script() -> None:
    assert {field for field, _ in TRAINING.values()} <= set(TrainArguments.model_fields)


def test_values_out_of_range_are_all_named(workflow: settings.Workflow) -> None:
    given = {"Beta": "-1", "ValidationFraction": "1.5", "TrainInstanceCount": "0", "MaxLength": "4"}
    assert range_problems(workflow, given) == [
        "TrainInstanceCount: must be greater than or equal to 1",
        "ValidationFraction: must be less than 1",
        "MaxLength: must be greater than or equal to 16",
        "Beta: must be greater than 0",
    ]
    assert range_problems(workflow, {"Beta": "0.3", "LossType": "ipo", "TrainInstanceType": "ml.g5.2xlarge"}) == []
    assert set(SETTINGS) <= {parameter.name for parameter in parameters(workflow)}
