"""The rendered definition: golden files, sound against the API model, deterministic, without credentials or network."""

from __future__ import annotations

import dataclasses
import difflib
import json
from pathlib import Path

import pytest

from pipeline import settings
from pipeline.checks.api_model import check_definition
from pipeline.local.plan import build_plan
from pipeline.parameter_values import resolve_parameters
from pipeline.rendering import render

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.name != "account.yaml")
GOLDEN = Path(__file__).parent / "golden"

# Hashes of code and data, which change with every commit; everything else in a render is held by the golden file.
VOLATILE = {"code_version": "CODE", "recipe_key": "RECIPE", "recipe_uri": "s3://bucket/recipes/RECIPE/"}


def fixed(workflow: settings.Workflow) -> settings.Workflow:
    uris = {"data_uri": "s3://bucket/data/pairs.jsonl"} if workflow.data_uri.endswith("preferences.jsonl") else {}
    if workflow.settings.make_model:
        uris["model_uri"] = "s3://bucket/models/MODEL/"
    return dataclasses.replace(workflow, **VOLATILE, **uris)


def test_there_are_workflows_to_check() -> None:
    assert [path.stem for path in WORKFLOWS] == ["llama3.1-70b", "quickstart", "qwen3-0.6b", "qwen3-8b"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_workflow_renders_as_its_golden_file(path: Path, request: pytest.FixtureRequest) -> None:
    text = render(fixed(settings.load(path))) + "\n"
    golden = GOLDEN / f"{path.stem}.json"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    expected = golden.read_text()
    difference = difflib.unified_diff(expected.splitlines(), text.splitlines(), "golden", "rendered", lineterm="")
    assert text == expected, "\n".join(difference)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_workflow_is_sound_against_the_api_model_and_can_run_here(path: Path) -> None:
    definition = json.loads(render(settings.load(path)))
    assert check_definition(definition) == []
    order = [step.name for step in build_plan(definition, resolve_parameters(definition, {}))]
    assert order.index("Preprocess") < order.index("Train") < order.index("Gate") < order.index("CheckGate")
    assert order.index("CheckGate") < order.index("Merge") < order.index("RegisterMerged")


def test_no_execution_id_stands_in_what_training_caches_by() -> None:
    definition = json.loads(render(settings.load(ROOT / "configs" / "quickstart.yaml")))
    train = next(step for step in definition["Steps"] if step["Name"] == "Train")["Arguments"]
    keyed = ("AlgorithmSpecification", "CheckpointConfig", "HyperParameters", "InputDataConfig")
    assert "PipelineExecutionId" not in json.dumps({name: train[name] for name in keyed})


def test_spot_is_rendered_with_its_wait_time(tmp_path: Path) -> None:
    def training(name: str) -> dict:
        definition = json.loads(render(settings.load(ROOT / "configs" / name)))
        return next(step for step in definition["Steps"] if step["Name"] == "Train")["Arguments"]

    spot, on_demand = training("qwen3-8b.yaml"), training("llama3.1-70b.yaml")
    assert spot["EnableManagedSpotTraining"] and spot["StoppingCondition"]["MaxWaitTimeInSeconds"] == 48 * 3600
    assert not on_demand["EnableManagedSpotTraining"]
    assert "MaxWaitTimeInSeconds" not in on_demand["StoppingCondition"]


NO_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise OSError("a test cut the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from pipeline.cli import main
sys.exit(main(["definition"]))
"""


def test_the_same_settings_give_the_same_bytes_without_credentials_or_network(run, tmp_path: Path) -> None:
    first, second = (run("-c", NO_NETWORK, HOME=str(tmp_path), PYTHONHASHSEED=seed) for seed in "12")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["Version"] == "2020-12-01"
    assert first.stdout == second.stdout
