"""Builders of small definitions whose steps are real processes: a few lines of Python each, given in the test."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.local.executor import create_execution, run_execution
from pipeline.parameters.values import resolve_parameters

BUCKET = "s3://bucket"
# A word of a command has 256 characters at most and no line end: code comes in pieces, their number before them.
LOADER = (
    "import base64,sys;n=int(sys.argv[1])+2;code=base64.b64decode(''.join(sys.argv[2:n]));"
    "sys.argv[1:]=sys.argv[n:];exec(code)"
)


def python(code):
    """The command that runs a few lines of Python."""
    text = base64.b64encode(code.encode()).decode()
    pieces = [text[start : start + 256] for start in range(0, len(text), 256)]
    return ["python3", "-c", LOADER, str(len(pieces)), *pieces]


def filled(request):
    """A request without its empty lists, which the service refuses."""
    return {name: value for name, value in request.items() if value != []}


def processing(name, code, *arguments, inputs=None, outputs=(), property_files=None, **more):
    """A Processing step; `inputs` maps names to URIs, `property_files` a name to (output, file)."""
    step = {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
            "AppSpecification": filled(
                {"ImageUri": "image", "ContainerEntrypoint": python(code), "ContainerArguments": list(arguments)}
            ),
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for key, uri in (inputs or {}).items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "S3Output": {
                            "S3Uri": join(f"{BUCKET}/", {"Get": "Execution.PipelineExecutionId"}, f"/{name}/{key}"),
                            "LocalPath": f"/opt/ml/processing/output/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key in outputs
                ]
            },
        },
    }
    if property_files:
        step["PropertyFiles"] = [
            {"PropertyFileName": key, "OutputName": output, "FilePath": file}
            for key, (output, file) in property_files.items()
        ]
    return step | more


def training(name, code, channels=None, *, nodes=1, compression="NONE", checkpoints=None, metrics=None, **more):
    """A Training step; what else its request holds goes in `arguments`."""
    arguments = {
        "AlgorithmSpecification": filled(
            {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": python(code),
                "MetricDefinitions": [{"Name": key, "Regex": regex} for key, regex in (metrics or {}).items()],
            }
        ),
        "InputDataConfig": [
            {"ChannelName": key, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
            for key, uri in (channels or {}).items()
        ],
        "OutputDataConfig": {"S3OutputPath": f"{BUCKET}/models/", "CompressionType": compression},
        "ResourceConfig": {"InstanceCount": nodes, "InstanceType": "ml.g5.xlarge", "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    if checkpoints:
        arguments["CheckpointConfig"] = {"S3Uri": checkpoints, "LocalPath": "/opt/ml/checkpoints"}
    return {"Name": name, "Type": "Training", "Arguments": filled(arguments) | more.pop("arguments", {})} | more


def condition(name, left, right, if_steps, else_steps=(), kind="Equals"):
    """A Condition step with one comparison."""
    test = {"Type": kind, "LeftValue": left, "RightValue": right}
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": [test], "IfSteps": list(if_steps), "ElseSteps": list(else_steps)},
    }


def fail(name, message):
    """A Fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def register(name, model, group="models"):
    """A RegisterModel step."""
    source = {"S3DataSource": {"S3Uri": model, "S3DataType": "S3Prefix", "CompressionType": "None"}}
    container = {"Image": "serve", "ModelDataSource": source}
    request = {"ModelPackageGroupName": group, "InferenceSpecification": {"Containers": [container]}}
    return {"Name": name, "Type": "RegisterModel", "Arguments": request}


def join(*values):
    """A Std:Join on nothing."""
    return {"Std:Join": {"On": "", "Values": list(values)}}


def output(step, name):
    """The URI of a Processing step's output."""
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def json_get(step, file, path):
    """A value from a property file."""
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{step}.PropertyFiles.{file}"}, "Path": path}}


def definition(*steps, **parameters):
    """A definition; a parameter is its default, or a whole request."""
    kinds = {bool: "Boolean", int: "Integer", float: "Float", str: "String"}
    rendered = [
        {"Name": name, **(value if isinstance(value, dict) else {"Type": kinds[type(value)], "DefaultValue": value})}
        for name, value in parameters.items()
    ]
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": rendered, "Steps": list(steps)}


@pytest.fixture(scope="session")
def build():
    """The builders above, so that no test depends on how test modules are imported."""
    builders = (processing, training, condition, fail, register, join, output, json_get, definition)
    return SimpleNamespace(**{function.__name__: function for function in builders})


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "local"


@pytest.fixture
def repository(tmp_path) -> Path:
    """The folder that jobs run in, with a `steps/` of its own."""
    folder = tmp_path / "repository"
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "code.py").write_text("VALUE = 1\n")
    return folder


@pytest.fixture
def start(root, repository):
    """Create and run an execution; returns its record."""

    def run(rendered, tell=lambda event: None, **overrides):
        parameters = resolve_parameters(rendered, overrides)
        execution = create_execution(root, "pipe", rendered, parameters)
        return run_execution(root, execution.id, tell, repository)

    return run


@pytest.fixture
def states():
    """A record's steps and their states, as a mapping."""
    return lambda execution: {step.name: step.status for step in execution.steps}
