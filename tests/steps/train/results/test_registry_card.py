"""The registration's model card: valid against AWS's schema whatever the names, of the run, and without its rows."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.service_model import service, value_problem
from steps.gate.__main__ import card_content
from steps.train.arguments import TrainArguments
from steps.train.evaluation import canary
from steps.train.evaluation.figures import RowMargin
from steps.train.origin import Origin
from steps.train.results import hub_card, registry_card
from steps.train.results.facts import Facts, collect_facts
from steps.train.tracking.settings import shown
from tests.model_card_schema import SCHEMA
from tests.steps.train import runs

REPORT = {"data_hash": "ab" * 32, "formats": {"chat": 700, "hh": 2}, "samples": {"chat": [{"prompt": "a secret"}]}}


def facts(run: dict[str, Any] | None = None, **given: Any) -> Facts:
    """The facts of a run of 60 rows; `given` are training arguments, and what its sources have."""
    run = run or runs.run()
    sources = {name: given.pop(name) for name in ("report", "initial_adapter") if name in given}
    arguments = shown(TrainArguments(**{"model_id": "Qwen/Qwen3-8B"} | given))
    origin = Origin(run["records"], {}, **sources)
    return collect_facts(run["evaluation"], arguments, origin, {"steps": 1200, "pairs": 32}, {"trl": "1.16.0"})


def registered(of: Facts, message: str = "Held-out reward accuracy 0.9 meets the threshold.") -> dict[str, Any]:
    """The card as registration sends it, once the API's model and the schema take it."""
    content = card_content(json.loads(json.dumps(registry_card.content(of))), message, "dpo")
    assert not value_problem(service().shape_for("ModelCardContent"), content)
    card = json.loads(content)
    jsonschema.validate(card, SCHEMA, cls=jsonschema.Draft7Validator)
    return card


def test_the_schema_refuses_what_a_model_package_does_not_take() -> None:
    card = registered(facts())
    for broken in (
        card | {"model_package_details": {}},
        card | {"model_overview": {"model_description": "only a card of its own has it"}},
        card | {"intended_uses": {"risk_rating": "none"}},
        card | {"evaluation_details": [{"name": "x" * 64}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA, cls=jsonschema.Draft7Validator)


def test_the_canary_sets_figures_are_there_where_a_run_had_one() -> None:
    run = runs.run()
    rows = [RowMargin(f"row-{n}", -1.0, -2.0, -1.0, -1.5 - n % 2, 5, 5, "chat", False) for n in range(30)]
    run["evaluation"]["canary"] = canary.section(rows, {row.id for row in rows[:20]}, 0.1)
    (evaluation,) = registered(facts(run))["evaluation_details"]
    (group,) = (one for one in evaluation["metric_groups"] if one["name"] == "Canary set")
    values = {metric["name"]: metric["value"] for metric in group["metric_data"]}
    assert values["held-out rows"] == 20
    assert values["reward accuracy"] == run["evaluation"]["canary"]["reward_accuracy"]
    assert "On the canary set, 20 rows that every run holds out, the reward accuracy is " in hub_card.render(facts(run))


def test_figures_data_and_arguments_are_the_runs() -> None:
    run = runs.run()
    card = registered(facts(run, report=REPORT, model_revision="v1", lora_r=8, loss_type="sigmoid,sft"))
    (evaluation,) = card["evaluation_details"]
    after, before, layouts, tools = evaluation["metric_groups"]
    measured = run["evaluation"]["after"]
    values = {metric["name"]: metric["value"] for metric in after["metric_data"]}
    assert values["reward accuracy"] == measured["reward_accuracy"] and values["held-out rows"] == 60
    assert values["reward accuracy, lower bound"] == measured["reward_accuracy_low"]
    assert {metric["name"]: metric["value"] for metric in before["metric_data"]}["reward accuracy"] == 0.5
    assert [metric["name"] for metric in layouts["metric_data"]] == [
        "reward accuracy, layout chat", "reward accuracy, layout hh",
    ]  # fmt: skip
    assert re.match(r"30 rows, 95% interval \d", layouts["metric_data"][0]["notes"])
    assert [metric["name"] for metric in tools["metric_data"]] == [
        "reward accuracy, with tools", "reward accuracy, without tools",
    ]  # fmt: skip
    assert evaluation["evaluation_observation"].startswith("Held-out reward accuracy 0.9 meets the threshold. Before")
    job = card["training_details"]["training_job_details"]
    assert job["training_datasets"] == [f"preference pairs, SHA-256 {'ab' * 32}"]
    assert {"name": "lora_r", "value": "8"} in job["user_provided_hyper_parameters"]
    details = card["additional_information"]["custom_details"]
    assert (details["base model"], details["base model revision"]) == ("Qwen/Qwen3-8B", "v1")
    assert details["data layouts"] == "chat 700, hh 2" and details["train rows"] == "given 600, used 590, too_long 10"
    assert "NF4" in card["additional_information"]["caveats_and_recommendations"]
    assert card["model_overview"] == {"model_creator": "SageMaker pipeline dpo"}


def test_what_is_not_known_is_said_or_left_out() -> None:
    card = registered(facts(initial_adapter="cd" * 32, model_id="/opt/ml/model", base_model_name="s3://bucket/model/"))
    assert card["training_details"]["training_job_details"]["training_datasets"] == ["preference pairs of unknown hash"]
    assert "SHA-256 cdcd" in card["training_details"]["objective_function"]["notes"]
    details = card["additional_information"]["custom_details"]
    assert "base model revision" not in details and details["base model"] == "s3://bucket/model/"
    assert card["intended_uses"]["risk_rating"] == "Unknown"


def test_no_text_of_a_row_and_no_password_stands_in_it() -> None:
    text = json.dumps(registered(facts(report=REPORT, mlflow_uri="http://ada:s3cr3t@host", train_data="/home/ada")))
    assert not [word for word in ("s3cr3t", "/home", "a secret", "to rain", "chats.jsonl", "row-7") if word in text]


def test_hostile_names_and_long_values_keep_it_valid() -> None:
    run = runs.run(hostile=True)
    registered(facts(run, report=REPORT | {"formats": {runs.EVIL: 1}}, target_modules=["a\u2028b" * 200]))


@given(st.text(max_size=3000))
def test_any_text_becomes_one_line_that_the_api_takes(text: str) -> None:
    cut = registry_card._cut(text, 255)
    assert len(cut) <= 255 and not re.search(r"[\n\r\u0085\u2028\u2029\x00]", cut)


def test_the_served_form_and_the_answers_are_groups_of_figures() -> None:
    run = runs.judged_run()
    card = registered(facts(run))
    groups = {one["name"]: one["metric_data"] for one in card["evaluation_details"][0]["metric_groups"]}
    served = {one["name"]: one["value"] for one in groups["As served"]}
    assert served["reward accuracy"] == run["evaluation"]["served"]["after"]["reward_accuracy"]
    assert served["rows that change sides"] == 2
    shares = {name: {one["name"]: one["value"] for one in data} for name, data in groups.items() if "says" in name}
    assert list(shares) == ["What it says: base", "What it says: this model", "What it says: champion"]
    assert (shares["What it says: base"]["calls right"], shares["What it says: this model"]["calls right"]) == (
        0,
        0.875,
    )
    assert shares["What it says: champion"]["degenerate answers"] == 0
    assert "NF4" not in card["additional_information"]["caveats_and_recommendations"]
    registered(facts(runs.judged_run(hostile=True)))


def test_a_long_reason_why_nothing_was_judged_still_fits() -> None:
    run = runs.not_judged_run()
    run["evaluation"]["answers"] = {"judged": False, "reason": "the template " * 300}
    assert "evaluate_served: false" not in json.dumps(registered(facts(runs.run())))
    caveats = registered(facts(run))["additional_information"]["caveats_and_recommendations"]
    assert caveats.endswith("(python pipeline.py try VERSION).")
