"""The CreateModelPackage request as AWS would get it: every pipeline variable resolved, both variants, every base."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from pipeline.checks.api_model import check_definition, values_problems
from pipeline.definition.render import render
from pipeline.local.jobs.job import local_path
from pipeline.local.jobs.process_engine import localize
from pipeline.local.plan.expressions import Scope, evaluate
from pipeline.local.state.store import Store
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from steps.champion import approved, objects
from steps.gate.__main__ import card_content
from steps.gate.decision import decide
from steps.gate.rules.limits import Limits
from steps.register.__main__ import main
from tests.paths import ROOT

RUN = "s3://bucket/runs/abcdefghijkl"
COMMIT = "c1" * 20
LIMITS = Limits(
    threshold=0.8,
    threshold_on="accuracy",
    tolerance=0.02,
    min_rows=1,
    max_chosen_drop=None,
    max_served_drift=0.1,
    max_degenerate_share=0.2,
    judge=None,
)
FIGURES = {"rows": 40, "reward_accuracy": 0.85, "ties": 2}
CARD = {"evaluation_details": [{"name": "Held-out", "evaluation_observation": "Ties before."}]}
EXECUTION = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/p/execution/abcdefghijkl"


def outputs(step: str, *names: str) -> dict[str, Any]:
    """What DescribeProcessingJob answers of a step's outputs."""
    entries = [{"OutputName": name, "S3Output": {"S3Uri": f"{RUN}/{step}/{name}"}} for name in names]
    return {"ProcessingOutputConfig": {"Outputs": entries}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished run's property files."""
    store = Store(tmp_path_factory.mktemp("root"))
    decision = decide({"before": FIGURES, "after": FIGURES}, LIMITS, "no version is approved") | {
        "max_lora_rank": 32,
        "manifest_sha256": "cd" * 32,
        "mlflow_run_id": "none",
        "mlflow_uri": "none",
    }
    files = {
        "Champion/champion/champion.json": {"model_commit": COMMIT},
        "Preprocess/report/report.json": {"data_hash": "ab" * 32},
        "Gate/decision/gate.json": decision,
        "Merge/facts/merged.json": {"manifest_sha256": "ef" * 32},
        "Gate/decision/card.json": {"content": card_content(CARD, decision["message"], "p")},
    }
    for name, content in files.items():
        path = store.path(f"{RUN}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return store


def resolved(
    workflow: settings.Workflow, variant: str, store: Store, operation: str = "CreateModelPackage"
) -> dict[str, Any]:
    """The request of a variant's registration, after the API's model has taken it."""
    definition = json.loads(render(workflow))
    rendered = read(definition)
    parameters = {name: parameter.default for name, parameter in rendered.parameters.items()}
    files = {name: rendered.by_name[name].property_files for name in ("Champion", "Preprocess", "Gate", "Merge")}
    steps = {
        "Champion": outputs("Champion", "champion"),
        "Preprocess": outputs("Preprocess", "report"),
        "Gate": outputs("Gate", "decision", "serving"),
        "Merge": outputs("Merge", "model", "facts"),
    }
    execution = {"PipelineExecutionArn": EXECUTION, "PipelineExecutionId": EXECUTION.rpartition("/")[2]}
    scope = Scope(parameters, execution, store, steps, files)
    step = rendered.by_name[f"Register{variant}"]
    request = evaluate(step.arguments, scope, step.name)
    step.raw["Arguments"] = request
    assert check_definition(definition) == []
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model(operation)
    named = {"ProcessingJobName": "a"} if operation == "CreateProcessingJob" else {}
    assert ParamValidator().validate(named | request, model.input_shape).generate_report() == ""
    return request


def container(request: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Where the served folder lies, and the environment."""
    (found,) = request["InferenceSpecification"]["Containers"]
    assert len(found["Environment"]) <= 16  # of a model package's container, as the API's documentation says
    source = found["ModelDataSource"]["S3DataSource"]
    assert (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "None")
    return source["S3Uri"], found["Environment"]


TOOLS = {"OPTION_ENABLE_AUTO_TOOL_CHOICE": "true", "OPTION_TOOL_CALL_PARSER": "hermes"}


def test_a_merged_model_is_a_folder_of_its_own(store: Store) -> None:
    request = resolved(settings.load(ROOT / "configs" / "qwen3-8b.yaml"), "Merged", store)
    place = {"HF_MODEL_ID": "/opt/ml/model"}
    assert container(request) == (f"{RUN}/Merge/model/", place | TOOLS | {"OPTION_MAX_MODEL_LEN": "16384"})
    facts = request["CustomerMetadataProperties"]
    assert (facts["manifest_sha256"], facts["adapter_manifest_sha256"]) == ("ef" * 32, "cd" * 32)


def test_an_adapter_is_served_on_its_base_at_the_commit_that_the_execution_found(store: Store) -> None:
    workflow = settings.load(ROOT / "configs" / "qwen3-0.6b.yaml")
    request = resolved(workflow, "Adapter", store)
    lora = {"OPTION_ENABLE_LORA": "true", "OPTION_MAX_LORA_RANK": "32"}
    base = {"OPTION_MODEL_ID": "Qwen/Qwen3-0.6B", "OPTION_REVISION": COMMIT}
    assert container(request) == (f"{RUN}/Gate/serving/", base | lora | TOOLS)
    card = request["ModelCard"]
    assert card["ModelCardStatus"] == "PendingReview"
    assert json.loads(card["ModelCardContent"])["model_overview"] == {"model_creator": "SageMaker pipeline p"}
    assert request["CustomerMetadataProperties"] == {
        "variant": "adapter",
        "base_model": f"Qwen/Qwen3-0.6B@{COMMIT}",
        "code_version": workflow.code_version,
        "data_hash": "ab" * 32,
        "execution_arn": EXECUTION,
        "gate": "pass: reward accuracy 0.8500 threshold 0.8 rows 40 champion not compared",
        "adapter_uri": f"{RUN}/Gate/serving/adapters/dpo/",
        "manifest_sha256": "cd" * 32,
        "adapter_manifest_sha256": "cd" * 32,
        "champion": "none",
        "champion_reward_accuracy": "none",
        "reward_accuracy": "0.85",
        "form": "trained",
        "served_drift": "none",
        "calls": "none",
        "calls_before": "none",
        "mlflow_run_id": "none",
        "mlflow_uri": "none",
    }
    assert request["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] == f"{RUN}/Gate/decision/evaluation.json"
    assert request["ModelMetrics"]["ModelDataQuality"]["Statistics"]["S3Uri"] == f"{RUN}/Preprocess/report/report.json"


def test_a_recipes_settings_of_the_template_reach_an_adapters_server_with_its_tokenizer(
    store: Store,
) -> None:
    workflow = settings.load(ROOT / "configs" / "qwen3-0.6b.yaml")
    recipe = workflow.recipe.model_copy(update={"chat_template_kwargs": {"enable_thinking": False}})
    workflow = dataclasses.replace(workflow, recipe=recipe)
    _, adapter = container(resolved(workflow, "Adapter", store))
    assert adapter["OPTION_TOKENIZER"] == "/opt/ml/model/adapters/dpo"
    _, merged = container(resolved(workflow, "Merged", store))
    assert "OPTION_TOKENIZER" not in merged  # its own folder has the templates


@pytest.mark.parametrize(("name", "variant"), [("quickstart", "Merged"), ("qwen3-0.6b", "Adapter")])
def test_a_job_in_the_steps_place_registers_the_same(
    store: Store, name: str, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = settings.load(ROOT / "configs" / f"{name}.yaml")
    wanted = resolved(workflow, variant, store)
    section = workflow.settings.register_model.model_copy(update={"register_with": "job"})
    changed = workflow.settings.model_copy(update={"register_model": section})
    job = resolved(dataclasses.replace(workflow, settings=changed), variant, store, "CreateProcessingJob")
    assert not job["NetworkConfig"]["EnableNetworkIsolation"]
    (given,) = job["ProcessingInputs"]
    assert store.download(given["S3Input"]["S3Uri"], local_path(given["S3Input"]["LocalPath"], tmp_path)) == 2
    monkeypatch.setenv(approved.VARIABLE, str(tmp_path / "registry"))
    monkeypatch.setattr(objects, "present", lambda uri: uri.startswith(RUN))
    main([localize(word, tmp_path) for word in job["AppSpecification"]["ContainerArguments"]])
    group = workflow.settings.register_model.package_group
    package = json.loads((tmp_path / "registry" / group / "1" / "package.json").read_text())
    assert wanted.items() <= package.items()
    written = json.loads((tmp_path / "processing" / "output" / "registered" / "registered.json").read_text())
    assert written["model_package_arn"] == package["ModelPackageArn"]


@pytest.mark.parametrize("variant", ["Merged", "Adapter"])
def test_a_base_of_unknown_family_in_s3_is_registered_without_a_parser(store: Store, variant: str) -> None:
    workflow = settings.load(settings.DEFAULT_SETTINGS)
    _, environment = container(resolved(workflow, variant, store))
    assert not environment.keys() & TOOLS.keys()
    if variant == "Adapter":
        assert environment["OPTION_MODEL_ID"] == workflow.model_uri and "OPTION_REVISION" not in environment


@pytest.mark.parametrize(("given", "parser"), [("mistral", "mistral"), ("none", None)])
def test_a_named_parser_wins_over_the_models_name(store: Store, given: str, parser: str | None) -> None:
    workflow = settings.load(ROOT / "configs" / "qwen3-0.6b.yaml")
    section = workflow.settings.register_model.model_copy(update={"tool_call_parser": given})
    changed = workflow.settings.model_copy(update={"register_model": section})
    _, environment = container(resolved(dataclasses.replace(workflow, settings=changed), "Merged", store))
    assert environment.get("OPTION_TOOL_CALL_PARSER") == parser


def test_the_recipes_parser_serves_where_the_workflow_names_none(store: Store) -> None:
    workflow = settings.load(ROOT / "configs" / "qwen3-0.6b.yaml")
    changed = dataclasses.replace(
        workflow, recipe=workflow.recipe.model_copy(update={"tool_call_parser": "llama3_json"})
    )
    _, environment = container(resolved(changed, "Merged", store))
    assert environment["OPTION_TOOL_CALL_PARSER"] == "llama3_json"


def test_a_base_that_the_metadata_do_not_take_is_refused_before_the_start() -> None:
    definition = json.loads(render(settings.load(ROOT / "configs" / "qwen3-0.6b.yaml")))
    where = "in RegisterAdapter: CustomerMetadataProperties.base_model: "
    long = values_problems(definition, {"ModelId": f"owner/{'x' * 300}"})
    assert f"Parameters.ModelId: {where}307 characters, at most 256" in long  # without the commit
