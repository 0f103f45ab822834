"""`collect:` in a workflow's file: the step, what it hands on, and nothing where the section is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.checks.api_model import check_definition
from pipeline.definition.render import render
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from pipeline.settings.collect import Collect
from steps.collect import options
from steps.collect.opinions import Contradictions
from steps.collect.redact import PATTERNS
from steps.preprocess.options import parse
from steps.shared.typed_yaml import InvalidFile
from tests.conftest import ROOT
from tests.pipeline.moto_server import write_settings

INPUT = Path("/opt/ml/processing/input")


def with_collect(folder: Path, section: str) -> Path:
    path = write_settings(folder)
    path.write_text(f"{path.read_text()}\ncollect:{section}\n")
    return path


def rendered(path: Path) -> tuple[settings.Workflow, dict[str, Any], dict[str, dict[str, Any]]]:
    workflow = settings.load(path)
    definition = json.loads(render(workflow))
    return workflow, definition, {step.name: step.arguments for step in read(definition).all_steps}


def words(request: dict[str, Any]) -> list[str]:
    given = request["AppSpecification"]["ContainerArguments"]
    return [word if isinstance(word, str) else "7" if "Rows" in json.dumps(word) else "0.25" for word in given]


def inputs(request: dict[str, Any]) -> dict[str, Any]:
    return {one["InputName"]: one["S3Input"]["S3Uri"] for one in request["ProcessingInputs"]}


def test_the_section_alone_brings_the_step_and_preprocess_reads_its_pairs(tmp_path: Path) -> None:
    workflow, definition, steps = rendered(with_collect(tmp_path, ""))

    assert check_definition(definition) == []
    assert list(steps)[:3] == ["Champion", "Collect", "Preprocess"]
    collect, preprocess = steps["Collect"], steps["Preprocess"]
    places = {"captures": workflow.captures_uri, "feedback": workflow.feedback_uri}
    assert inputs(collect) == {**places, "data": {"Get": "Parameters.InputDataUri"}}
    pairs = "Steps.Collect.ProcessingOutputConfig.Outputs['pairs'].S3Output.S3Uri"
    assert inputs(preprocess)["feedback_data"] == {"Get": pairs}
    assert parse(words(preprocess)).feedback_data == INPUT / "feedback_data"
    asked = options.parse(words(collect))
    assert (asked.captures, asked.feedback, asked.data) == (INPUT / "captures", INPUT / "feedback", INPUT / "data")
    assert (asked.max_feedback_share, asked.redact) == (0.5, ("mail", "account", "phone"))
    asked.check()


def test_captures_and_feedback_are_data_whose_state_is_in_the_cache_key(tmp_path: Path) -> None:
    workflow, _, steps = rendered(with_collect(tmp_path, " {}"))

    given = steps["Champion"]["AppSpecification"]["ContainerArguments"]
    assert [given[number + 1] for number, word in enumerate(given) if word == "--data"][1:] == [
        workflow.captures_uri, workflow.feedback_uri,
    ]  # fmt: skip
    assert steps["Collect"]["Environment"] == steps["Preprocess"]["Environment"]


def test_an_input_has_an_object_before_anything_was_captured_or_said(tmp_path: Path) -> None:
    workflow = settings.load(with_collect(tmp_path, ""))
    places = {asset.uri.removesuffix("place.txt") for asset in workflow.assets if asset.uri.endswith("place.txt")}
    assert places == {workflow.captures_uri, workflow.feedback_uri}


def test_every_setting_reaches_the_command_line(tmp_path: Path) -> None:
    section = """
  max_feedback_share: 1
  feedback_weight: 9
  max_age_days: 30
  contradictions: leave_out
  max_per_person_and_day: 5
  redact: [mail]
  redact_patterns: ["-x[0-9]+", "Ms[.] .+"]
"""
    _, _, steps = rendered(with_collect(tmp_path, section))
    asked = options.parse(words(steps["Collect"]))
    assert asked == options.Options(
        captures=INPUT / "captures", feedback=INPUT / "feedback", output=Path("/opt/ml/processing/output"),
        feedback_weight=9, max_age_days=30, contradictions="leave_out", max_per_person_and_day=5, redact=("mail",),
        redact_patterns=("-x[0-9]+", "Ms[.] .+"),
    )  # fmt: skip
    assert steps["Train"]["HyperParameters"]["feedback_weight"] == "9"


def test_a_weight_in_the_recipe_is_refused(tmp_path: Path) -> None:
    path = with_collect(tmp_path, "")
    recipe = path.parent / "recipes" / "quickstart.yaml"
    recipe.write_text(f"{recipe.read_text()}feedback_weight: 9\n")
    with pytest.raises(InvalidFile, match=r"write it as collect\.feedback_weight"):
        settings.load(path)


def test_without_the_section_there_is_no_such_step_and_no_such_input() -> None:
    workflow, _, steps = rendered(ROOT / "configs" / "quickstart.yaml")
    assert "Collect" not in steps and "feedback_data" not in inputs(steps["Preprocess"])
    assert not [asset for asset in workflow.assets if asset.uri.endswith("place.txt")]


def test_the_settings_name_what_the_step_knows() -> None:
    fields = Collect.model_fields
    assert fields["redact"].default == tuple(PATTERNS)
    assert fields["contradictions"].annotation == Contradictions


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (" {redact_patterns: ['(']}", "no regular expression"),
        (" {redact_patterns: ['a*']}", "finds an empty text"),
        (" {max_feedback_share: 0}", "max_feedback_share"),
        (" {redact: [names]}", "redact"),
    ],
)
def test_a_wrong_section_is_named(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(InvalidFile, match=said):
        settings.load(with_collect(tmp_path, section))


def test_a_canary_set_goes_to_preprocess_and_brings_the_gates_rules_and_counts_as_data(tmp_path: Path) -> None:
    path = with_collect(tmp_path, "")
    (tmp_path / "canary.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    path.write_text(f"{path.read_text()}\npreprocess:\n  canary: canary.jsonl\n")
    workflow, definition, steps = rendered(path)

    assert check_definition(definition) == []
    assert workflow.canary_uri and workflow.canary_uri in {asset.uri for asset in workflow.assets}
    assert inputs(steps["Preprocess"])["canary"] == workflow.canary_uri
    assert parse(words(steps["Preprocess"])).canary == INPUT / "canary"
    asked = words(steps["Gate"])
    assert asked[asked.index("--canary-threshold") + 1] == "0.6"
    assert asked[asked.index("--max-reversed-share") + 1] == "0.2"
    looked_at = steps["Champion"]["AppSpecification"]["ContainerArguments"]
    assert workflow.canary_uri in looked_at
