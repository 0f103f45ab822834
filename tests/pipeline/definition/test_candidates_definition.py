"""`candidates:` in a workflow's file: the step, who answers, what it hands on, and nothing without the section."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.checks.api_model import check_definition
from pipeline.definition.render import render
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from pipeline.settings.candidates import Candidates
from pipeline.settings.collect import Collect
from steps.candidates import options
from steps.preprocess.options import parse
from steps.shared.typed_yaml import InvalidFile
from tests.conftest import ROOT
from tests.pipeline.definition.test_collect_definition import inputs, words
from tests.pipeline.moto_server import write_settings

INPUT = Path("/opt/ml/processing/input")
SAME = ("answers", "temperature", "top_p", "max_new_tokens", "seed", "margin", "max_prompts", "max_minutes")


def with_candidates(folder: Path, section: str, more: str = "collect:\n") -> Path:
    path = write_settings(folder)
    path.write_text(f"{path.read_text()}\n{more}candidates:{section}\n")
    return path


def rendered(path: Path) -> tuple[settings.Workflow, dict[str, Any], dict[str, dict[str, Any]]]:
    workflow = settings.load(path)
    definition = json.loads(render(workflow))
    return workflow, definition, {step.name: step.arguments for step in read(definition).all_steps}


def asked(request: dict[str, Any]) -> options.Options:
    """The command line as the step reads it, what only a run can tell as some text."""
    given = request["AppSpecification"]["ContainerArguments"]
    found = options.parse([word if isinstance(word, str) else "told" for word in given])
    found.check()
    return found


def test_the_section_brings_the_step_and_preprocess_reads_its_pairs_too(tmp_path: Path) -> None:
    workflow, definition, steps = rendered(with_candidates(tmp_path, ""))

    assert check_definition(definition) == []
    assert list(steps)[:4] == ["Champion", "Collect", "Candidates", "Preprocess"]
    candidates, preprocess = steps["Candidates"], steps["Preprocess"]
    assert candidates["AppSpecification"]["ImageUri"] == workflow.account.images.training
    assert candidates["RoleArn"] == workflow.account.role_of("train")
    places = inputs(candidates)
    assert set(places) == {"unpaired", "pairs", "champion", "base"}
    assert places["unpaired"] == {"Get": "Steps.Collect.ProcessingOutputConfig.Outputs['unpaired'].S3Output.S3Uri"}
    assert places["champion"]["Std:JsonGet"]["Path"] == "adapter_uri"
    pairs = "Steps.{}.ProcessingOutputConfig.Outputs['pairs'].S3Output.S3Uri"
    assert inputs(preprocess)["feedback_data"] == {"Get": pairs.format("Collect")}
    assert inputs(preprocess)["candidate_data"] == {"Get": pairs.format("Candidates")}
    assert parse(words(preprocess)).candidate_data == INPUT / "candidate_data"
    found = asked(candidates)
    assert {name: getattr(found, name) for name in SAME} == {name: getattr(Candidates(), name) for name in SAME}
    assert (found.unpaired, found.pairs, found.champion) == (INPUT / "unpaired", INPUT / "pairs", INPUT / "champion")
    assert found.judge is None and "DATA_STATE" not in candidates.get("Environment", {})


def test_a_hub_model_is_loaded_at_the_commit_that_training_loads() -> None:
    workflow = settings.load(ROOT / "configs" / "qwen3-8b.yaml")
    update = {"collect": Collect(), "candidates": Candidates()}
    workflow = dataclasses.replace(workflow, settings=workflow.settings.model_copy(update=update))
    steps = {step.name: step.arguments for step in read(json.loads(render(workflow))).all_steps}
    assert "base" not in inputs(steps["Candidates"])
    given = steps["Candidates"]["AppSpecification"]["ContainerArguments"]
    assert given[given.index("--base") + 1] == {"Get": "Parameters.ModelId"}
    assert given[given.index("--revision") + 1]["Std:JsonGet"]["Path"] == "model_commit"


def test_prompts_of_ones_own_are_uploaded_and_their_state_is_in_the_cache_key(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Rain?"}\n')
    workflow, _, steps = rendered(with_candidates(tmp_path, " {prompts: prompts.jsonl}", more=""))
    assert "Collect" not in steps
    assert workflow.prompts_uri in {asset.uri for asset in workflow.assets}
    assert inputs(steps["Candidates"])["prompts"] == workflow.prompts_uri
    assert workflow.prompts_uri in steps["Champion"]["AppSpecification"]["ContainerArguments"]
    assert steps["Candidates"]["Environment"]["DATA_STATE"] == steps["Preprocess"]["Environment"]["DATA_STATE"]


def test_every_setting_reaches_the_command_line(tmp_path: Path) -> None:
    section = """
  answers: 8
  temperature: 0.7
  top_p: 0.9
  max_new_tokens: 2000000
  seed: 7
  margin: 0.5
  max_prompts: 1000000
  max_minutes: 30
  judge_max_tokens: 1000000
  instance_type: ml.g5.12xlarge
"""
    path = with_candidates(tmp_path, section)
    path.write_text(path.read_text().replace("\ngate:\n", "\ngate:\n  judge: some.model\n"))
    _, _, steps = rendered(path)
    found = asked(steps["Candidates"])
    expected = {
        "answers": 8, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 2_000_000, "seed": 7, "margin": 0.5,
        "max_prompts": 1_000_000, "max_minutes": 30, "judge": "some.model", "judge_max_tokens": 1_000_000,
    }  # fmt: skip
    assert {name: getattr(found, name) for name in expected} == expected
    cluster = steps["Candidates"]["ProcessingResources"]["ClusterConfig"]
    assert cluster["InstanceType"] == "ml.g5.12xlarge"


def test_without_the_section_there_is_no_such_step_and_no_such_input() -> None:
    _, _, steps = rendered(ROOT / "configs" / "loop.yaml")
    assert "Candidates" not in steps and "candidate_data" not in inputs(steps["Preprocess"])


@pytest.mark.parametrize(
    ("section", "more", "said"),
    [
        ("", "", "candidates: there are no prompts; add collect:, or name your own as candidates.prompts"),
        (" {prompts: s3://bucket/prompts}", "", 'must end in "/"'),
        (" {prompts: absent.jsonl}", "", "candidates.prompts: absent.jsonl: there is no such file or folder"),
        (" {answers: 1}", "collect:\n", "answers"),
        (" {margin: 1}", "collect:\n", "margin"),
        (" {max_minutes: 60, max_runtime_hours: 1}", "collect:\n", "60 must be below max_runtime_hours, 60 minutes"),
        (" {n: 3}", "collect:\n", "unknown key"),
    ],
)
def test_a_wrong_section_is_named(tmp_path: Path, section: str, more: str, said: str) -> None:
    with pytest.raises(InvalidFile, match=said):
        settings.load(with_candidates(tmp_path, section, more))
