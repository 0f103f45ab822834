"""What a local run can do of each step type's request. Everything else is refused before anything runs.

A request may say what only AWS can honour without being refused (instance types, volumes, roles, networks, spot,
encryption, retry policies): a local run has one machine, and nothing comes out differently.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.local.plan import spark

TYPES = ("Processing", "Training", "Condition", "RegisterModel", "Fail")
ML_ROOT = "/opt/ml"

Problems = Iterator[str]


def problems(step_type: str, arguments: Mapping[str, Any], property_files: Mapping[str, Mapping[str, str]]) -> Problems:
    """What stands in the way of running a step here; `arguments` may still hold references to other steps."""
    if step_type == "Processing":
        yield from _processing(arguments)
        yield from _property_files(arguments, property_files)
    elif step_type == "Training":
        yield from _training(arguments)
    elif step_type == "RegisterModel":
        if not arguments.get("ModelPackageGroupName"):
            yield "RegisterModel without ModelPackageGroupName is not supported (only versioned packages are)"
    elif step_type not in TYPES:
        yield f"step type {step_type} is not supported; supported are {', '.join(TYPES)}"


def output_names(arguments: Mapping[str, Any]) -> list[str]:
    """The names of a Processing request's outputs."""
    return [output.get("OutputName", "") for output in _outputs(arguments)]


def _processing(arguments: Mapping[str, Any]) -> Problems:
    application = arguments.get("AppSpecification", {})
    if not application.get("ContainerEntrypoint"):
        yield "AppSpecification.ContainerEntrypoint is missing (the image's own entrypoint is not known here)"
    count = arguments.get("ProcessingResources", {}).get("ClusterConfig", {}).get("InstanceCount", 1)
    if spark.is_spark(application):
        yield from spark.problems()
    elif count != 1:
        yield f"InstanceCount {count} of a Processing step is not supported, only 1 (or any of a Spark job)"
    for given in arguments.get("ProcessingInputs", []):
        name = given.get("InputName")
        s3 = given.get("S3Input")
        if s3 is None or given.get("AppManaged"):
            yield f"input {name}: only S3Input is supported"
        else:
            yield from _source_problems(f"input {name}", s3, mode=s3.get("S3InputMode"))
            if count != 1 and s3.get("S3DataDistributionType") == "ShardedByS3Key":
                yield f"input {name}: ShardedByS3Key over several instances is not supported"
            yield from _path_problems(f"input {name}", s3.get("LocalPath"))
    for output in _outputs(arguments):
        name = output.get("OutputName")
        if output.get("S3Output") is None or output.get("AppManaged"):
            yield f"output {name}: only S3Output is supported"
        else:
            yield from _path_problems(f"output {name}", output["S3Output"].get("LocalPath"))


def _property_files(arguments: Mapping[str, Any], property_files: Mapping[str, Mapping[str, str]]) -> Problems:
    names = output_names(arguments)
    for name, file in property_files.items():
        if file["OutputName"] not in names:
            yield f"property file {name}: there is no output {file['OutputName']}; there is {', '.join(names)}"
        if ".." in PurePosixPath(file["FilePath"]).parts:
            yield f"property file {name}: '..' is not allowed in {file['FilePath']}"


def _training(arguments: Mapping[str, Any]) -> Problems:
    algorithm = arguments.get("AlgorithmSpecification", {})
    if not algorithm.get("ContainerEntrypoint"):
        yield "AlgorithmSpecification.ContainerEntrypoint is missing (the image's own entrypoint is not known here)"
    resources = arguments.get("ResourceConfig", {})
    count = resources.get("InstanceCount", 1)
    if resources.get("InstanceGroups"):
        yield "ResourceConfig.InstanceGroups is not supported, only InstanceType and InstanceCount"
    if not isinstance(count, int) or count < 1:
        yield f"InstanceCount {count} is not a whole number of at least 1"
    elif count > 1 and sys.platform != "linux":
        yield f"InstanceCount {count} needs Linux, where every 127.x.x.x address is this machine; use 1 here"
    for channel in arguments.get("InputDataConfig", []):
        where = f"channel {channel.get('ChannelName')}"
        s3 = channel.get("DataSource", {}).get("S3DataSource")
        if s3 is None:
            yield f"{where}: only S3DataSource is supported"
            continue
        mode = channel.get("InputMode", algorithm.get("TrainingInputMode"))
        yield from _source_problems(where, {**channel, **s3}, mode=mode)
        if count != 1 and s3.get("S3DataDistributionType") == "ShardedByS3Key":
            yield f"{where}: ShardedByS3Key over several instances is not supported"
    checkpoints = arguments.get("CheckpointConfig", {})
    if checkpoints:
        yield from _path_problems("CheckpointConfig", checkpoints.get("LocalPath", f"{ML_ROOT}/checkpoints"))
    for metric in algorithm.get("MetricDefinitions", []):
        yield from _metric_problems(metric)


def _source_problems(where: str, source: Mapping[str, Any], mode: Any) -> Problems:
    if source.get("S3DataType", "S3Prefix") != "S3Prefix":
        yield f"{where}: S3DataType {source['S3DataType']} is not supported, only S3Prefix"
    if mode == "Pipe":
        yield f"{where}: input mode Pipe is not supported, only File and FastFile"
    compression = source.get("CompressionType", source.get("S3CompressionType"))
    if compression not in (None, "None"):
        yield f"{where}: compression {compression} is not supported, only None"


def _path_problems(where: str, path: Any) -> Problems:
    inside = isinstance(path, str) and path.startswith(f"{ML_ROOT}/") and ".." not in PurePosixPath(path).parts
    if not inside:
        yield f"{where}: LocalPath {path} must be a folder below {ML_ROOT}"


def _metric_problems(metric: Mapping[str, str]) -> Problems:
    try:
        groups = re.compile(metric["Regex"]).groups
    except re.error as error:
        yield f"metric {metric['Name']}: the regex {metric['Regex']!r} is not valid: {error}"
        return
    if groups < 1:
        yield f"metric {metric['Name']}: the regex {metric['Regex']!r} has no group to take the value from"


def _outputs(arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
