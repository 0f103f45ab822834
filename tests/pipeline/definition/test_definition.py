"""The rendered definition: golden files, sound against the API model, deterministic, without credentials or network."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import re
from pathlib import Path

import pytest

from pipeline.checks.api_model import check_definition
from pipeline.checks.api_requests import RequestCheck, parameters_in
from pipeline.checks.known_values import evaluate
from pipeline.checks.service_model import OPERATIONS
from pipeline.definition.render import render
from pipeline.local.plan import spark
from pipeline.local.plan.order import build_plan
from pipeline.parameters.values import resolve_parameters
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from steps.preprocess.options import Options, parse
from tests.paths import GOLDEN, ROOT
from tests.pipeline.workflows import CANDIDATES, SPARK, WORKFLOWS

# Hashes of code and data, which change with every commit; everything else in a render is held by the golden file.
VOLATILE = {"code_version": "CODE", "recipe_key": "RECIPE", "recipe_uri": "s3://bucket/recipes/RECIPE/"}


def fixed(workflow: settings.Workflow) -> settings.Workflow:
    uris = {"data_uri": "s3://bucket/data/pairs.jsonl"} if workflow.data_uri.endswith("preferences.jsonl") else {}
    if workflow.settings.make_model:
        uris["model_uri"] = "s3://bucket/models/MODEL/"
    return dataclasses.replace(workflow, **VOLATILE, **uris)


def test_there_are_workflows_to_check() -> None:
    assert [path.stem for path in WORKFLOWS] == ["llama3.1-70b", "loop", "quickstart", "qwen3-0.6b", "qwen3-8b"]


@pytest.mark.parametrize("path", [*WORKFLOWS, SPARK, CANDIDATES], ids=lambda path: path.stem)
def test_every_workflow_renders_as_its_golden_file(path: Path, request: pytest.FixtureRequest) -> None:
    text = render(fixed(settings.load(path))) + "\n"
    golden = GOLDEN / f"{path.stem}.json"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    expected = golden.read_text()
    difference = difflib.unified_diff(expected.splitlines(), text.splitlines(), "golden", "rendered", lineterm="")
    assert text == expected, "\n".join(difference)


@pytest.mark.parametrize("path", [*WORKFLOWS, SPARK, CANDIDATES], ids=lambda path: path.stem)
def test_every_workflow_is_sound_against_the_api_model_and_can_run_here(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark, "problems", list)  # whether this machine has Java is not the definition's doing
    definition = json.loads(render(settings.load(path)))
    assert check_definition(definition) == []
    order = [step.name for step in build_plan(definition, resolve_parameters(definition, {}))]
    asked = settings.load(path).settings
    before = {"Collect": asked.collect, "Candidates": asked.candidates}
    assert order == [
        "Champion", *(name for name, section in before.items() if section), "Preprocess",
        "NoNewData", "Train", "Gate", "CheckGate", "RejectModel", "ChooseMerged", "Merge",
        "RegisterMerged", "ChooseAdapter", "RegisterAdapter",
    ]  # fmt: skip


def request(workflow: settings.Workflow, step: str) -> dict:
    return requests(json.loads(render(workflow)))[step]


def requests(definition: dict) -> dict[str, dict]:
    """step -> its arguments, those in a Condition's branches too."""
    return {step.name: step.raw["Arguments"] for step in read(definition).all_steps}


def preprocess(workflow: settings.Workflow) -> dict:
    return request(workflow, "Preprocess")


def training(workflow: settings.Workflow) -> dict:
    return request(workflow, "Train")


def arguments(request: dict) -> Options:
    """The command line of a rendered step as its container reads it, parameters as some number."""
    return parse(words_of(request))


def words_of(request: dict) -> list[str]:
    words = request["AppSpecification"]["ContainerArguments"]
    return [
        word if isinstance(word, str) else "7" if "MinValidationRows" in json.dumps(word) else "0.25" for word in words
    ]


def test_every_setting_of_preprocess_reaches_its_command_line() -> None:
    request = preprocess(settings.load(SPARK))
    inputs = Path("/opt/ml/processing/input")
    assert arguments(request) == Options(
        input=inputs / "data",
        output=Path("/opt/ml/processing/output"),
        validation_data=inputs / "validation_data",
        min_validation_rows=7,
        max_invalid_fraction=0.25,
        format="chat",
        columns={"prompt": "question", "rejected": "worse answer"},
        ignore_fields=("documents",),
        pairs="best_vs_rest",
        min_score_difference=0.5,
        max_pairs=3,
        tool_calls="keep",
        near_duplicates=0.85,
        tokenizer=inputs / "tokenizer",
        max_tokens=2048,
        max_characters=100000,
        baseline=inputs / "baseline",
        feedback_data=inputs / "feedback_data",
    )
    names = {given["InputName"]: given["S3Input"]["S3Uri"] for given in request["ProcessingInputs"]}
    assert names == {
        "data": {"Get": "Parameters.InputDataUri"},
        "validation_data": {"Get": "Parameters.ValidationDataUri"},
        "tokenizer": "s3://bucket/models/qwen3/",
        "baseline": "s3://bucket/runs/last/Preprocess/report/",
        "feedback_data": {"Get": "Steps.Collect.ProcessingOutputConfig.Outputs['pairs'].S3Output.S3Uri"},
    }


def test_what_is_not_set_is_left_to_the_step() -> None:
    request = preprocess(settings.load(ROOT / "configs" / "qwen3-8b.yaml"))
    inputs, output = Path("/opt/ml/processing/input"), Path("/opt/ml/processing/output")
    fractions = {"validation_fraction": 0.25, "max_invalid_fraction": 0.25}
    assert arguments(request) == Options(inputs / "data", output, min_validation_rows=7, **fractions)
    assert [given["InputName"] for given in request["ProcessingInputs"]] == ["data"]


def test_every_setting_of_the_gate_reaches_its_command_line() -> None:
    workflow = settings.load(SPARK)
    rules = {
        "threshold_on": "lower_end",
        "max_chosen_drop": 0.5,
        "max_served_drift": None,
        "max_degenerate_share": 0.5,
        "judge": "eu.the.judge-v1:0",
        "judge_max_pairs": 8,
        "judge_max_tokens": 1_000_000,
    }
    section = workflow.settings.gate.model_copy(update=rules)
    strict = dataclasses.replace(workflow, settings=workflow.settings.model_copy(update={"gate": section}))
    words, plain = words_of(request(strict, "Gate")), words_of(request(workflow, "Gate"))
    beside = "--threshold-on lower_end --max-chosen-drop 0.5 --max-served-drift none --max-degenerate-share 0.5"
    judge = "--judge eu.the.judge-v1:0 --judge-max-pairs 8 --judge-max-tokens 1000000"
    of_collect = ["--max-reversed-share", "0.2"]  # which this workflow has
    assert plain[-2:] == of_collect and words == [*plain[:-2], *beside.split(), *judge.split(), *of_collect]
    given = dict(itertools.pairwise(plain))
    assert (given["--threshold"], given["--champion-tolerance"], given["--min-validation-rows"]) == (
        "0.25",
        "0.25",
        "7",
    )


@pytest.mark.parametrize("given", ["mistral", "none", "auto"])
def test_answers_are_judged_by_the_parser_that_is_served_with(given: str) -> None:
    workflow = settings.load(ROOT / "configs" / "qwen3-0.6b.yaml")
    section = workflow.settings.register_model.model_copy(update={"tool_call_parser": given})
    changed = workflow.settings.model_copy(update={"register_model": section})
    found = request(dataclasses.replace(workflow, settings=changed), "Train")["HyperParameters"]
    assert found.get("tool_call_parser", "auto") == given
    assert ("tool_call_parser" in found) == (given != "auto")


def test_the_engine_decides_on_image_instances_and_command_alone() -> None:
    workflow = settings.load(SPARK)
    sections = workflow.settings.preprocess
    plain = sections.model_copy(update={"engine": "python", "instance_count": 1})
    python = dataclasses.replace(workflow, settings=workflow.settings.model_copy(update={"preprocess": plain}))
    on_spark, on_one = preprocess(workflow), preprocess(python)
    assert on_spark["AppSpecification"]["ImageUri"].endswith("/dpo-spark:1")
    assert on_spark["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 3
    command = on_spark["AppSpecification"]["ContainerEntrypoint"]
    assert command[-2] == "smspark-submit" and (ROOT / command[-1]).is_file()
    for request in (on_spark, on_one):
        del request["AppSpecification"]["ImageUri"], request["AppSpecification"]["ContainerEntrypoint"]
        del request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    assert on_spark == on_one


def test_no_execution_id_stands_in_what_training_caches_by() -> None:
    train = training(settings.load(ROOT / "configs" / "quickstart.yaml"))
    keyed = ("AlgorithmSpecification", "CheckpointConfig", "HyperParameters", "InputDataConfig")
    assert "PipelineExecutionId" not in json.dumps({name: train[name] for name in keyed})


def test_an_initial_adapter_is_a_channel_an_argument_and_a_place_of_its_own_for_checkpoints() -> None:
    without = settings.load(ROOT / "configs" / "quickstart.yaml")
    given = dataclasses.replace(without, initial_adapter_uri="s3://bucket/earlier/")
    assert check_definition(json.loads(render(given))) == []
    plain, continued = training(without), training(given)
    added = [channel for channel in continued["InputDataConfig"] if channel not in plain["InputDataConfig"]]
    uri = {"Get": "Parameters.InitialAdapterUri"}
    assert [(one["ChannelName"], one["DataSource"]["S3DataSource"]["S3Uri"]) for one in added] == [
        ("initial_adapter", uri)
    ]
    path = continued["HyperParameters"]["initial_adapter"]
    assert (path, "initial_adapter" in plain["HyperParameters"]) == ("/opt/ml/input/data/initial_adapter", False)
    model, way = {"Get": "Parameters.ModelUri"}, {"Get": "Parameters.ContinueFromChampion"}
    assert (origins(without), origins(given)) == ([model, way], [model, uri])


def origins(workflow: settings.Workflow) -> list:
    """What the place of checkpoints is made of, beside data and numbers: the champion's job gets it and hashes it."""
    words = request(workflow, "Champion")["AppSpecification"]["ContainerArguments"]
    return [word for option, word in itertools.pairwise(words) if option == "--origin"]


def test_no_uri_stands_inside_of_the_place_of_checkpoints() -> None:
    """`s3://bucket/checkpoints/…/s3://other/base//…` is no prefix, and two long URIs exceed its 1,024 characters."""
    definition = read(json.loads(render(settings.load(settings.DEFAULT_SETTINGS))))
    (place,) = (
        place.expression
        for place in RequestCheck.of(definition, definition.by_name["Train"]).places
        if "CheckpointConfig" in place.where
    )
    assert not parameters_in(definition, place) & {"ModelUri", "ModelId", "InitialAdapterUri"}
    scheme, _, rest = evaluate(definition, place).value.partition("://")
    assert scheme == "s3" and "//" not in rest and rest.endswith("/")


def test_no_experiment_is_made_for_an_execution() -> None:
    """It would need sagemaker:CreateExperiment and more, which the role of the jobs has not."""
    definition = json.loads(render(settings.load(settings.DEFAULT_SETTINGS)))
    assert definition["PipelineExperimentConfig"] is None


def test_the_champion_is_asked_for_anew_and_reaches_training_by_where_its_adapter_lies() -> None:
    workflow = settings.load(ROOT / "configs" / "quickstart.yaml")
    definition = json.loads(render(workflow))
    steps, inner = {step["Name"]: step for step in definition["Steps"]}, requests(definition)
    champion, train = steps["Champion"], inner["Train"]
    assert "CacheConfig" in steps["Preprocess"] and "CacheConfig" not in champion
    words = champion["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert words[:4] == ["--group", "dpo-quickstart", "--placeholder", workflow.recipe_uri]
    assert "Steps." not in json.dumps(champion["Arguments"])  # it waits for no step: the small job comes first

    def fact(key: str) -> dict:
        return {"Std:JsonGet": {"Path": key, "PropertyFile": {"Get": "Steps.Champion.PropertyFiles.champion"}}}

    uris = {one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in train["InputDataConfig"]}
    assert uris["champion"] == fact("adapter_uri")
    assert train["HyperParameters"]["champion_version"] == fact("version")
    assert train["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"][3] == fact("origins_hash")
    assert steps["Preprocess"]["Arguments"]["Environment"] == {"DATA_STATE": fact("data_state")}
    gate = inner["Gate"]["AppSpecification"]["ContainerArguments"]
    assert gate[gate.index("--champion-lookup") + 1] == fact("reason")


def test_every_fact_that_a_run_finds_and_that_lands_in_a_short_place_is_bounded_where_it_is_written() -> None:
    """What a property file says is not known at `check`, and too long a text fails a job that comes after the training.

    A new one belongs here once the step that writes it keeps it short: `reason` is cut (test_champion_lookup.py), what
    gate.json says is tried out (test_decision.py, test_tracked.py), and the others are hashes and a commit.
    """
    workflows = (settings.load(ROOT / "configs" / name) for name in ("quickstart.yaml", "qwen3-0.6b.yaml"))
    places = [
        place
        for definition in (read(json.loads(render(workflow))) for workflow in workflows)
        for step in definition.all_steps
        if step.type in OPERATIONS
        for place in RequestCheck.of(definition, step).places
        if "JsonGet" in json.dumps(place.expression) and place.shape.metadata.get("max", 0) <= 256
    ]
    assert {re.search(r'"Path": "(\w+)"', json.dumps(place.expression))[1] for place in places} == {
        "reason", "data_state", "data_hash", "summary", "champion", "champion_reward_accuracy", "reward_accuracy",
        "manifest_sha256", "model_commit", "form", "served_drift", "calls", "calls_before",
        "mlflow_run_id", "mlflow_uri",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["qwen3-0.6b.yaml", "qwen3-8b.yaml"])
def test_only_the_first_job_sees_the_revision_and_every_other_gets_the_commit_that_it_found(name: str) -> None:
    """`main` may move while an execution runs: training and merge would then be of different weights."""
    definition = json.loads(render(settings.load(ROOT / "configs" / name)))
    told = {step: json.dumps(request) for step, request in requests(definition).items()}
    assert {step for step, text in told.items() if "Parameters.ModelRevision" in text} == {"Champion"}
    commit = {"Std:JsonGet": {"Path": "model_commit", "PropertyFile": {"Get": "Steps.Champion.PropertyFiles.champion"}}}
    inner = requests(definition)
    assert inner["Train"]["HyperParameters"]["model_revision"] == commit
    words = inner["Merge"]["AppSpecification"]["ContainerArguments"]
    assert words[words.index("--revision") + 1] == commit
    base = inner["RegisterMerged"]["CustomerMetadataProperties"]["base_model"]
    assert base == {"Std:Join": {"On": "@", "Values": [{"Get": "Parameters.ModelId"}, commit]}}
    assert (
        inner["RegisterAdapter"]["InferenceSpecification"]["Containers"][0]["Environment"]["OPTION_REVISION"] == commit
    )


def test_a_fault_of_the_service_is_repeated_however_long_the_job_has_run_by_then() -> None:
    """ExpireAfterMin counts from the step's start; a fault at hour 30 of a training would come too late for it."""
    definition = read(json.loads(render(settings.load(settings.DEFAULT_SETTINGS))))
    policies = {step.name: step.raw["RetryPolicies"] for step in definition.all_steps if step.type in OPERATIONS}
    assert "Train" in policies and "RegisterMerged" in policies
    for step, found in policies.items():
        assert all("ExpireAfterMin" not in policy and policy["MaxAttempts"] >= 1 for policy in found), step
    kinds = [policy["ExceptionType"] for policy in policies["Train"]]
    assert kinds[1:] == [
        ["SageMaker.JOB_INTERNAL_ERROR"], ["SageMaker.RESOURCE_LIMIT", "SageMaker.CAPACITY_ERROR"],
    ]  # fmt: skip
    broken, capacity = policies["Train"][1:]
    assert broken["MaxAttempts"] == 3  # each is paid
    pauses = [
        capacity["IntervalSeconds"] * capacity["BackoffRate"] ** number for number in range(capacity["MaxAttempts"])
    ]
    assert 20 < sum(pauses) / 3600 < 24 and max(pauses) <= 43200  # IntervalSeconds' largest


def test_a_recipes_own_name_for_the_base_stays() -> None:
    workflow = settings.load(ROOT / "configs" / "quickstart.yaml")
    assert training(workflow)["HyperParameters"]["base_model_name"] == {"Get": "Parameters.ModelUri"}
    recipe = workflow.recipe.model_copy(update={"base_model_name": "owner/base"})
    assert "base_model_name" not in training(dataclasses.replace(workflow, recipe=recipe))["HyperParameters"]


def test_spot_is_rendered_with_its_wait_time(tmp_path: Path) -> None:
    workflows = (settings.load(ROOT / "configs" / name) for name in ("qwen3-8b.yaml", "llama3.1-70b.yaml"))
    spot, on_demand = map(training, workflows)
    assert spot["EnableManagedSpotTraining"] and spot["StoppingCondition"]["MaxWaitTimeInSeconds"] == 48 * 3600
    assert not on_demand["EnableManagedSpotTraining"]
    assert "MaxWaitTimeInSeconds" not in on_demand["StoppingCondition"]


def test_a_warm_pool_and_tags_are_rendered_into_the_jobs() -> None:
    workflow = settings.load(ROOT / "configs" / "llama3.1-70b.yaml")
    assert "KeepAlivePeriodInSeconds" not in training(workflow)["ResourceConfig"]
    train = workflow.settings.train.model_copy(update={"keep_alive_minutes": 30})
    changed = workflow.settings.model_copy(update={"train": train, "tags": {"team": "a", "cost": "7"}})
    account = workflow.account.model_copy(update={"tags": {"team": "all", "env": "test"}})
    definition = json.loads(render(dataclasses.replace(workflow, settings=changed, account=account)))
    assert check_definition(definition) == []
    tags = [{"Key": "cost", "Value": "7"}, {"Key": "env", "Value": "test"}, {"Key": "team", "Value": "a"}]
    jobs = [step.raw for step in read(definition).all_steps if step.type in ("Training", "Processing")]
    assert len(jobs) == 5 and all(step["Arguments"]["Tags"] == tags for step in jobs)
    train_step = next(step for step in jobs if step["Name"] == "Train")
    assert train_step["Arguments"]["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 1800


NO_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise OSError("a test cut the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from pipeline.definition.render import render
from pipeline.settings import workflow
print(render(workflow.load(workflow.DEFAULT_SETTINGS)))
"""


def test_the_same_settings_give_the_same_bytes_without_credentials_or_network(run, forked, tmp_path: Path) -> None:
    first = run("-c", NO_NETWORK, HOME=str(tmp_path), PYTHONHASHSEED="1")
    second = forked("pipeline.py", "definition")  # whose hashes have a seed of their own
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["Version"] == "2020-12-01"
    assert first.stdout == second.stdout
