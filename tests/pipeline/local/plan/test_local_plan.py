"""What is refused before anything runs, and the order of the rest."""

import pytest

from pipeline.errors import UserError
from pipeline.local.plan import spark
from pipeline.local.plan.order import build_plan


def names(rendered, **parameters):
    return [step.name for step in build_plan(rendered, parameters)]


def refused(rendered, **parameters):
    with pytest.raises(UserError) as error:
        build_plan(rendered, parameters)
    return str(error.value).splitlines()


def test_steps_follow_what_they_refer_to_and_otherwise_keep_their_order(build):
    late = build.processing("Late", "", inputs={"x": build.output("Early", "o")})
    asked = build.processing("Asked", "", DependsOn=["Late"])
    early = build.processing("Early", "", outputs=["o"])
    assert names(build.definition(asked, late, early)) == ["Early", "Late", "Asked"]


def test_steps_of_a_branch_follow_their_condition(build):
    gate = build.processing("Gate", "", outputs=["o"], property_files={"gate": ("o", "gate.json")})
    inner = build.condition("Choose", "a", "a", [build.fail("No", "x")], [build.fail("Yes", "x")])
    check = build.condition("Check", build.json_get("Gate", "gate", "ok"), "yes", [inner])
    plan = build_plan(build.definition(check, gate), {})
    assert [step.name for step in plan] == ["Gate", "Check", "Choose", "No", "Yes"]
    assert plan[3].branch.condition == "Choose" and plan[3].branch.outcome is True


def test_every_problem_is_named_at_once_and_nothing_was_run(build):
    rendered = build.definition(
        {"Name": "Tune", "Type": "Tuning", "Arguments": {}},
        build.processing("Two", "", {"Get": "Parameters.Epoch"}, inputs={"x": build.output("Onee", "o")}),
        build.processing("One", "", outputs=["train"]),
        build.processing("Three", "", inputs={"x": build.output("One", "trian")}),
        build.condition("Four", build.json_get("One", "report", "rows"), 1, []),
        Epochs=1,
    )
    assert refused(rendered, Epochs=1) == [
        "definition: 5 problems",
        "  Tune: step type Tuning is not supported; supported are Processing, Training, Condition, RegisterModel, Fail",
        "  Two: Parameters.Epoch: no such parameter; did you mean Epochs?",
        "  Two: there is no step 'Onee' to refer to; did you mean One?",
        "  Three: Steps.One.ProcessingOutputConfig.Outputs['trian'].S3Output.S3Uri: step One has no such output; "
        "did you mean train?",
        "  Four: Steps.One.PropertyFiles.report: step One has no such property file",
        "Nothing was run. Fix the definition, then start again.",
    ]


def test_a_circle_is_named(build):
    one = build.processing("One", "", outputs=["o"], inputs={"x": build.output("Two", "o")})
    two = build.processing("Two", "", outputs=["o"], DependsOn=["One"])
    assert refused(build.definition(one, two))[1] == "  steps wait for each other: One needs Two, Two needs One"


def test_a_reference_into_the_other_branch_is_refused(build):
    one = build.processing("One", "", outputs=["o"])
    two = build.processing("Two", "", inputs={"x": build.output("One", "o")})
    rendered = build.definition(build.condition("Check", "a", "b", [one], [two]))
    assert refused(rendered)[1] == (
        "  Two: refers to One, which sits in the other branch of Check and never runs with it"
    )


def test_two_steps_of_one_name_are_refused(build):
    assert refused(build.definition(build.fail("A", "x"), build.fail("A", "y")))[1] == ("  A: two steps have this name")


def change(step, path, value):
    *parents, last = path
    place = step["Arguments"]
    for key in parents:
        place = place[key]
    place[last] = value
    return step


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("ProcessingResources", "ClusterConfig", "InstanceCount"), 2, "InstanceCount 2 of a Processing step"),
        (("AppSpecification",), {"ImageUri": "i"}, "ContainerEntrypoint is missing"),
        (("ProcessingInputs", 0, "S3Input", "S3DataType"), "ManifestFile", "S3DataType ManifestFile"),
        (("ProcessingInputs", 0, "S3Input", "LocalPath"), "/data", "LocalPath /data must be a folder below /opt/ml"),
        (("ProcessingInputs", 0, "S3Input", "LocalPath"), "/opt/ml/../x", "LocalPath /opt/ml/../x must be"),
        (("ProcessingInputs", 0), {"InputName": "x", "DatasetDefinition": {}}, "input x: only S3Input"),
        (("ProcessingOutputConfig", "Outputs", 0), {"OutputName": "o", "FeatureStoreOutput": {}}, "only S3Output"),
    ],
)
def test_processing_features_that_are_missing_here_are_refused(build, path, value, problem):
    step = build.processing("P", "", inputs={"x": "s3://b/x"}, outputs=["o"])
    assert problem in refused(build.definition(change(step, path, value)))[1]


@pytest.fixture
def spark_job(build):
    step = build.processing("P", "", inputs={"x": "s3://b/x"})
    step = change(step, ("ProcessingResources", "ClusterConfig", "InstanceCount"), 3)
    words = ["python3", "-m", "keep", "smspark-submit", "app.py"]
    return change(step, ("AppSpecification", "ContainerEntrypoint"), words)


def test_a_spark_job_may_have_any_number_of_instances(build, spark_job, monkeypatch):
    monkeypatch.setattr(spark, "problems", list)
    assert names(build.definition(spark_job)) == ["P"]
    sharded = change(spark_job, ("ProcessingInputs", 0, "S3Input", "S3DataDistributionType"), "ShardedByS3Key")
    assert "ShardedByS3Key over several" in refused(build.definition(sharded))[1]


def test_what_spark_lacks_here_is_said_before_anything_runs(build, spark_job, tmp_path, monkeypatch):
    monkeypatch.setattr(spark, "_home", lambda: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert refused(build.definition(spark_job))[1:-1] == [
        "  P: Spark is not installed here; install it: pip install --constraint containers/constraints.txt '.[spark]'",
        "  P: Spark needs Java, and there is none here; install Java 17, or set JAVA_HOME to it",
    ]


@pytest.mark.parametrize(("said", "fits"), [("1.8.0_402", True), ("17.0.15", True), ("25", False), ("7.0", False)])
def test_spark_takes_the_javas_that_it_starts_on(tmp_path, monkeypatch, said, fits):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{said}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(spark, "_home", lambda: tmp_path)
    assert list(spark.problems()) == ([] if fits else [spark.WRONG_JAVA.format(java, int(said.split(".")[0]))])


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("AlgorithmSpecification",), {"AlgorithmName": "a"}, "ContainerEntrypoint is missing"),
        (("AlgorithmSpecification", "TrainingInputMode"), "Pipe", "input mode Pipe"),
        (("AlgorithmSpecification", "MetricDefinitions"), [{"Name": "m", "Regex": "("}], "metric m: the regex '('"),
        (("AlgorithmSpecification", "MetricDefinitions"), [{"Name": "m", "Regex": "x"}], "has no group"),
        (("InputDataConfig", 0, "DataSource"), {"FileSystemDataSource": {}}, "channel x: only S3DataSource"),
        (("ResourceConfig",), {"InstanceGroups": [{}]}, "InstanceGroups is not supported"),
        (("CheckpointConfig",), {"S3Uri": "s3://b/c/", "LocalPath": "/c"}, "CheckpointConfig: LocalPath /c"),
    ],
)
def test_training_features_that_are_missing_here_are_refused(build, path, value, problem):
    step = build.training("T", "", {"x": "s3://b/x"})
    assert problem in refused(build.definition(change(step, path, value)))[1]


def test_features_are_judged_on_the_values_of_parameters(build):
    step = build.processing("P", "")
    step = change(step, ("ProcessingResources", "ClusterConfig", "InstanceCount"), {"Get": "Parameters.Count"})
    rendered = build.definition(step, Count=1)
    assert names(rendered, Count=1) == ["P"]
    assert "InstanceCount 3" in refused(rendered, Count=3)[1]


def test_unknown_conditions_and_functions_are_refused(build):
    odd = build.condition("Odd", {"Std:Map": {}}, 1, [])
    assert "the function Std:Map is not supported" in refused(build.definition(odd))[1]
    odd = build.condition("Odd", 1, 1, [], kind="Xor")
    assert "condition type Xor is not supported" in refused(build.definition(odd))[1]
