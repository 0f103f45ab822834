"""Parameters: each reaches a place, keeps within its rules, and is documented."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.definition.render import render
from pipeline.parameters.declared import SETTINGS, TRAINING, parameters, range_problems
from pipeline.preflight.inputs import resolve_inputs
from pipeline.settings import workflow as settings
from pipeline.settings.assets import Asset
from steps.train.arguments import TrainArguments
from tests.paths import ROOT


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


def test_held_out_data_of_the_users_own_takes_the_place_of_the_share(workflow: settings.Workflow) -> None:
    own = parameters(settings.load(ROOT / "tests" / "pipeline" / "data" / "spark.yaml"))
    defaults = {parameter.name: parameter.default for parameter in own}
    assert defaults["ValidationDataUri"] == "s3://bucket/held-out/pairs.jsonl"
    assert "ValidationFraction" not in defaults
    assert "ValidationDataUri" not in {parameter.name for parameter in parameters(workflow)}


def test_a_local_path_for_held_out_data_becomes_an_asset_in_place_of_the_settings_own(tmp_path: Path) -> None:
    given = tmp_path / "pairs.jsonl"
    given.write_text("{}")
    workflow = settings.load(ROOT / "tests" / "pipeline" / "data" / "spark.yaml")
    replaced = Asset(workflow.validation_uri, Path("as-in-the-settings"))
    workflow = dataclasses.replace(workflow, assets=(*workflow.assets, replaced))
    resolved, assets = resolve_inputs(workflow, {"ValidationDataUri": str(given)})
    uri = resolved["ValidationDataUri"]
    assert uri.startswith("s3://dpo-pipeline-111122223333/dpo/inputs/validation/") and uri.endswith("/pairs.jsonl")
    assert (uri, given) in [(asset.uri, asset.path) for asset in assets] and replaced not in assets


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
    assert range_problems(workflow, {"LoraR": "600"}) == []  # the recipe merges
    assert range_problems(workflow, {"LoraR": "600", "MergeWeights": "false"}) == [
        "LoraR: 600: vLLM serves ranks up to 512; take at most that, or set merge_weights: true"
    ]
    assert range_problems(workflow, {"ModelId": "owner/name-1.5B"}) == []
    for name in ("owner/name(1)", "gpt2", f"owner/{'x' * 91}"):
        (problem,) = range_problems(workflow, {"ModelId": name})
        assert problem.startswith(f"ModelId: {name!r} is no name of a hub model: owner/name, of letters")
    assert set(SETTINGS) <= {parameter.name for parameter in parameters(workflow)}
