"""Defects planted in a sound definition are found: each by its exact message, several at once, and none by accident."""

import copy
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checks.api_model import check_definition, values_problems
from pipeline.checks.known_values import evaluate, is_expression
from pipeline.checks.service_model import request_shape
from pipeline.rendered import read
from tests.paths import ROOT

DATA = Path(__file__).parent / "data"
SOUND = json.loads((DATA / "definition.json").read_text())
DEFECTS = {defect["name"]: defect for defect in json.loads((DATA / "defects.json").read_text())}
EXECUTION_ID = {"Get": "Execution.PipelineExecutionId"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a check must not open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def step(definition, name):
    return read(definition).by_name[name].raw


def plant(definition, defect):
    """Put a value at the defect's place, append it where the path ends in null, or drop what is there."""
    target = definition
    if "step" in defect:
        target = step(definition, defect["step"])
    elif "parameter" in defect:
        target = next(found for found in definition["Parameters"] if found["Name"] == defect["parameter"])
    *way, last = defect["at"]
    for part in way:
        target = target[part]
    if "put" not in defect:
        del target[last]
    elif last is None:
        target.append(defect["put"])
    else:
        target[last] = defect["put"]


def planted(*defects):
    definition = copy.deepcopy(SOUND)
    for defect in defects:
        plant(definition, defect)
    return definition


def put(name, path, value):
    return {"step": name, "at": ["Arguments", *path], "put": value}


def test_a_sound_definition_has_no_problems():
    assert check_definition(SOUND) == []


@pytest.mark.parametrize("name", DEFECTS)
def test_finds_the_defect(name):
    assert DEFECTS[name]["problem"] in check_definition(planted(DEFECTS[name]))


def test_a_definition_too_large_for_the_service_is_refused():
    size = len(json.dumps(SOUND)) + len('"Description": "", ') + 1048576
    problems = check_definition(planted({"step": "Gate", "at": ["Description"], "put": "x" * 1048576}))
    assert f"definition: {size} characters, at most 1048576" in problems


# Defects that change one place each, so that any number of them can stand side by side.
APART = [
    "unknown member",
    "missing member",
    "pattern",
    "output",
    "metric without a group",
    "checkpoint prefix",
    "range",
]
APART += [
    "execution id in a cache key",
    "group",
    "retry attempts",
    "version",
    "parameter twice",
    "message",
    "display name",
]


@settings(max_examples=30)
@given(st.sets(st.sampled_from(APART), min_size=2))
def test_names_exactly_the_defects_planted_at_once(names):
    defects = [DEFECTS[name] for name in sorted(names)]
    assert sorted(check_definition(planted(*defects))) == sorted(defect["problem"] for defect in defects)


def paths(value, path=()):
    yield path
    if isinstance(value, dict) and not is_expression(value):
        for key in value:
            yield from paths(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


def replaced(definition, path, value):
    definition = copy.deepcopy(definition)
    target = definition
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return definition


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["Get", "Name", "Std:Join"]), inner),
    max_leaves=4,
)


def substituted(definition, value):
    if is_expression(value):
        return evaluate(definition, value).value
    if isinstance(value, dict):
        return {key: substituted(definition, item) for key, item in value.items()}
    return [substituted(definition, item) for item in value] if isinstance(value, list) else value


@settings(max_examples=150)
@given(st.data())
def test_whatever_botocore_refuses_is_a_problem_of_that_step(data):
    """The request check stands in for botocore's validator, and misses nothing that it finds."""
    name = data.draw(st.sampled_from(["Preprocess", "Train", "RegisterAdapter"]))
    definition = copy.deepcopy(SOUND)
    raw = step(definition, name)
    path = data.draw(st.sampled_from([path for path in paths(raw["Arguments"]) if path]))
    raw["Arguments"] = replaced(
        raw["Arguments"], path, data.draw(json_values.filter(lambda value: not is_expression(value)))
    )
    shape = request_shape(raw["Type"])
    arguments = substituted(read(definition), raw["Arguments"])
    filled_in = {"Training": {"TrainingJobName": "job"}, "Processing": {"ProcessingJobName": "job"}}.get(
        raw["Type"], {}
    )
    report = ParamValidator().validate({**arguments, **filled_in}, shape).generate_report()
    if report:
        assert any(problem.startswith(f"{name}: ") for problem in check_definition(definition)), report


@settings(max_examples=200)
@given(st.data())
def test_no_broken_definition_breaks_the_check(data):
    path = data.draw(st.sampled_from([path for path in paths(SOUND) if path]))
    problems = check_definition(replaced(SOUND, path, data.draw(json_values)))
    assert all(isinstance(problem, str) for problem in problems)


def test_a_definition_that_is_no_object_is_one_problem():
    assert check_definition([]) == ["definition: [] must be a JSON object"]


def test_job_names_are_not_asked_for_and_not_refused():
    assert check_definition(planted(put("Train", ["TrainingJobName"], "dpo-train"))) == []
    assert check_definition(planted(put("Train", ["TrainingJobName"], "dpo_train")))


def test_letters_of_any_script_pass_where_aws_allows_letters():
    assert (
        check_definition(planted(put("RegisterAdapter", ["ModelPackageDescription"], "Modèle français, 日本語 (β)")))
        == []
    )
    problems = check_definition(planted(put("RegisterAdapter", ["ModelPackageDescription"], "two\nlines")))
    assert len(problems) == 1 and problems[0].startswith(
        "RegisterAdapter: ModelPackageDescription: 'two\\nlines' does not"
    )


def test_values_are_checked_where_they_land():
    assert values_problems(SOUND, {"ModelUri": "s3://bucket/" + "x" * 900}) == [
        "Parameters.ModelUri: in RegisterMerged: CustomerMetadataProperties.base_model: 912 characters, at most 256",
        "Parameters.ModelUri: in RegisterAdapter: CustomerMetadataProperties.base_model: 912 characters, at most 256",
    ]
    assert values_problems(SOUND, {"TrainInstanceCount": "-1"}) == [
        "Parameters.TrainInstanceCount: in Train: ResourceConfig.InstanceCount: -1 is below the least, 0"
    ]
    assert values_problems(SOUND, {"TrainInstanceType": "ml.g5.48xlarge", "Beta": "0.2", "Seed": "7"}) == []


def test_a_value_inside_a_join_is_measured_with_its_surroundings():
    argument = {"Std:Join": {"On": "=", "Values": ["--note", {"Get": "Parameters.LossType"}, EXECUTION_ID]}}
    definition = planted(put("Gate", ["AppSpecification", "ContainerArguments", None], argument))
    assert values_problems(definition, {"LossType": "x" * 236}) == []
    assert values_problems(definition, {"LossType": "x" * 237}) == [
        "Parameters.LossType: in Gate: AppSpecification.ContainerArguments[2]: 257 characters, at most 256"
    ]


def test_a_value_is_followed_through_the_output_that_it_names():
    uri = {"Std:Join": {"On": "", "Values": ["s3://dpo-bucket/", {"Get": "Parameters.InputDataUri"}]}}
    definition = planted(
        {"parameter": "InputDataUri", "at": ["DefaultValue"], "put": "a/"},
        put("Gate", ["ProcessingOutputConfig", "Outputs", 1, "S3Output", "S3Uri"], uri),
    )
    problems = values_problems(definition, {"InputDataUri": "b"})
    assert problems[-1] == (
        "Parameters.InputDataUri: in RegisterAdapter: InferenceSpecification.Containers[0].ModelDataSource."
        "S3DataSource.S3Uri: 's3://dpo-bucket/b' must end in \"/\"; without it the prefix also takes in its siblings"
    )


def test_importing_the_check_does_not_import_botocore():
    code = (
        "import sys, pipeline.checks.api_model\n"
        "sys.exit(any(name.startswith(('boto', 'sagemaker')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the SDK, about itself
def test_what_the_sdk_renders_is_known(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # the SDK makes a client while it is imported
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    from sagemaker.core.workflow import conditions, functions, parameters
    from sagemaker.core.workflow.properties import PropertyFile
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.retry import StepExceptionTypeEnum, StepRetryPolicy
    from sagemaker.mlops.workflow.steps import CacheConfig

    beta, loss = parameters.ParameterFloat("Beta", 0.1), parameters.ParameterString("Loss", "ipo", ["ipo", "sigmoid"])
    file = PropertyFile("gate", "decision", "gate.json")
    decision = functions.JsonGet("Gate", file, "decision")
    tested = [
        conditions.ConditionEquals(decision, "pass"),
        conditions.ConditionLessThanOrEqualTo(beta, 1.0),
        conditions.ConditionNot(conditions.ConditionOr([conditions.ConditionIn(loss, ["hinge", "ipo"])])),
    ]
    fail = FailStep("Fail", error_message=functions.Join(": ", ["refused", beta.to_string(), decision]))
    check = ConditionStep("Check", conditions=tested, if_steps=[], else_steps=[fail]).to_request()
    gate = {
        **planted(put("Gate", ["AppSpecification", "ContainerArguments"], [beta.to_string()]))["Steps"][2],
        **CacheConfig(True, "P30D").config,
        "RetryPolicies": [StepRetryPolicy([StepExceptionTypeEnum.THROTTLING], max_attempts=3).to_request()],
        "PropertyFiles": [file.expr],
    }
    gate["Arguments"]["ProcessingInputs"] = []
    definition = {
        "Version": "2020-12-01",
        "Parameters": [beta.to_request(), loss.to_request()],
        "Steps": [gate, check],
    }
    assert check_definition(json.loads(json.dumps(definition, default=lambda variable: variable.expr))) == []
