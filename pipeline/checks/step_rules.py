"""Rules of the service that its API model does not hold: what a step may carry, and how its members fit.

Each rule is one function that yields problems, each with its path; the caller puts the step's name before it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.checks.known_values import declared, echoed, evaluate, expressions_in, gets_in, is_expression
from pipeline.checks.service_model import UNKNOWN, service, shown, value_problem
from pipeline.errors import did_you_mean
from pipeline.rendered import Definition, Step, as_dict, as_list

STEP_MEMBERS = {"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"}
MORE_MEMBERS = {
    "Training": {"RetryPolicies", "CacheConfig"},
    "Processing": {"RetryPolicies", "CacheConfig", "PropertyFiles"},
    "RegisterModel": {"RetryPolicies"},
    "Condition": set(),
    "Fail": set(),
}
STEP_TYPES = tuple(MORE_MEMBERS)

RETRIED = (
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)
RETRY_LIMITS = {
    "BackoffRate": (0, None),
    "IntervalSeconds": (0, None),
    "MaxAttempts": (1, 20),
    "ExpireAfterMin": (0, 14400),
}
DURATION = re.compile(r"P?(?=.)(\d+[YMWD])*(T(\d+[HMS])+)?", re.IGNORECASE)

# The arguments whose change makes a cached step run again, as the service documents them.
CACHE_KEYS = {
    "Training": ("AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters", "InputDataConfig"),
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
}
EVER_NEW = {"PipelineExecutionId", "PipelineExecutionArn", "StartDateTime", "CurrentDateTime"} | {
    "TrainingJobName",
    "ProcessingJobName",
}


def member_problems(step: Step) -> Iterator[str]:
    """Type, unknown members, display name and description of a step."""
    if step.type not in STEP_TYPES:
        hint = did_you_mean(step.type, STEP_TYPES) or f"; known are {', '.join(STEP_TYPES)}"
        yield f"Type: {shown(step.raw.get('Type'))} is not a step type known here{hint}"
        return
    allowed = STEP_MEMBERS | MORE_MEMBERS[step.type]
    for member in step.raw:
        if member == "PropertyFiles" and step.type != "Processing":
            yield f"{member}: only a Processing step can have property files, and this is a {step.type} step"
        elif member not in allowed:
            yield f"{member}: unknown member of a {step.type} step{did_you_mean(member, allowed)}"
    if not isinstance(step.raw.get("Arguments"), dict):
        yield "Arguments: must be an object"
    for member, shape in (("DisplayName", "StepDisplayName"), ("Description", "StepDescription")):
        if member in step.raw and (problem := value_problem(service().shape_for(shape), step.raw[member])):
            yield f"{member}: {problem}"


def retry_problems(step: Step) -> Iterator[str]:
    """Retry policies: known exceptions, limits, and either attempts or minutes as the end."""
    for index, policy in enumerate(as_list(step.raw.get("RetryPolicies"))):
        path, policy = f"RetryPolicies[{index}]", as_dict(policy)
        names = policy.get("ExceptionType")
        if not isinstance(names, list) or not names:
            yield f"{path}: ExceptionType must name what is retried"
        for name in as_list(names):
            if name not in RETRIED:
                yield f"{path}: {shown(name)} is not one of {', '.join(RETRIED)}{did_you_mean(str(name), RETRIED)}"
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            yield f"{path}: needs either MaxAttempts or ExpireAfterMin"
        for member in sorted(policy.keys() - {"ExceptionType"}):
            if member not in RETRY_LIMITS:
                yield f"{path}: unknown member {member}{did_you_mean(member, RETRY_LIMITS)}"
                continue
            (least, most), value = RETRY_LIMITS[member], policy[member]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or value < least or (most is not None and value > most):
                yield f"{path}: {member} {shown(value)} must be a number from {least}{f' to {most}' if most else ''}"


def cache_problems(definition: Definition, step: Step) -> Iterator[str]:
    """A cache needs a lifetime, and a key that stays the same from one execution to the next."""
    if "CacheConfig" in step.raw:
        config = as_dict(step.raw["CacheConfig"])
        if not isinstance(config.get("Enabled"), bool):
            yield "CacheConfig: Enabled must be true or false"
        expires = config.get("ExpireAfter")
        if expires is None and step.cached:
            yield "CacheConfig: ExpireAfter is missing; it says how old a reused result may be, such as P30D"
        if expires is not None and not (isinstance(expires, str) and DURATION.fullmatch(expires)):
            yield f"CacheConfig: ExpireAfter {shown(expires)} is no ISO 8601 duration such as P30D"
    if not step.cached:
        return
    for member in CACHE_KEYS.get(step.type, ()):
        for path, expression in expressions_in(step.arguments.get(member), member):
            if cause := _ever_new(definition, expression, 0):
                yield f"{path}: {cause} is new in every execution, so the step's cache can never hit"


def _ever_new(definition: Definition, expression: Any, depth: int) -> str:
    """What makes an expression differ between executions: itself, or an output of a step that is not cached."""
    for get in gets_in(expression):
        if get.root == "Execution" and get.name in EVER_NEW:
            return f"Execution.{get.name}"
        other = definition.by_name.get(get.name) if get.root == "Steps" else None
        if other and not other.cached and depth < len(definition.all_steps):
            said = echoed(other, get.path)
            if said is not None and (cause := _ever_new(definition, said, depth + 1)):
                return f"{cause} (in {other.name}, which is not cached)"
    return ""


def property_file_problems(step: Step) -> Iterator[str]:
    """A property file lies in an output that its step declares."""
    outputs = declared(step, "Outputs")
    files = [as_dict(file) for file in as_list(step.raw.get("PropertyFiles"))]
    yield from _twice("PropertyFiles", [file.get("PropertyFileName") for file in files])
    for index, file in enumerate(files):
        path = f"PropertyFiles[{index}]"
        for member in ("PropertyFileName", "OutputName", "FilePath"):
            if not isinstance(file.get(member), str) or not file[member]:
                yield f"{path}: {member} is missing"
        name = file.get("OutputName")
        if isinstance(name, str) and name and name not in outputs:
            yield f"{path}: the step has no output {name}{did_you_mean(name, outputs)}"


def training_problems(step: Step) -> Iterator[str]:
    """What a training job on own instances needs, and what its members say about each other."""
    arguments = step.arguments
    algorithm, resources = as_dict(arguments.get("AlgorithmSpecification")), as_dict(arguments.get("ResourceConfig"))
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        yield "AlgorithmSpecification: needs either TrainingImage or AlgorithmName"
    for member in ("InstanceType", "InstanceCount"):
        if member not in resources and not resources.keys() & {"InstanceGroups", "InstancePreferences"}:
            yield f"ResourceConfig.{member}: is missing"
    if "StoppingCondition" not in arguments:
        yield "StoppingCondition: is missing"
    yield from _twice("InputDataConfig", _names(arguments.get("InputDataConfig"), "ChannelName"))
    metrics = as_list(algorithm.get("MetricDefinitions"))
    yield from _twice("AlgorithmSpecification.MetricDefinitions", _names(metrics, "Name"))
    for index, metric in enumerate(metrics):
        if problem := _regex_problem(as_dict(metric).get("Regex")):
            yield f"AlgorithmSpecification.MetricDefinitions[{index}].Regex: {problem}"
    yield from _spot_problems(arguments)


def _spot_problems(arguments: dict[str, Any]) -> Iterator[str]:
    limits = as_dict(arguments.get("StoppingCondition"))
    longest, wait = limits.get("MaxRuntimeInSeconds"), limits.get("MaxWaitTimeInSeconds")
    spot = arguments.get("EnableManagedSpotTraining") is True
    if spot and wait is None:
        yield "StoppingCondition.MaxWaitTimeInSeconds: is missing, and managed spot training needs it"
    if not spot and wait is not None:
        yield "StoppingCondition.MaxWaitTimeInSeconds: is only allowed with EnableManagedSpotTraining"
    if spot and as_dict(arguments.get("ResourceConfig")).get("KeepAlivePeriodInSeconds"):
        yield "ResourceConfig.KeepAlivePeriodInSeconds: a warm pool cannot be of spot instances"
    if spot and isinstance(wait, int) and isinstance(longest, int) and wait < longest:
        yield f"StoppingCondition.MaxWaitTimeInSeconds: {wait} is below MaxRuntimeInSeconds, {longest}"


def _regex_problem(regex: Any) -> str:
    if not isinstance(regex, str):
        return ""  # the request check names it
    try:
        pattern = re.compile(regex)
    except re.error as error:
        return f"{shown(regex)} is no regular expression: {error}"
    return "" if pattern.groups else f"{shown(regex)} has no group (…) around the number"


def processing_problems(step: Step) -> Iterator[str]:
    """Processing instances, and names that must not repeat."""
    cluster = as_dict(as_dict(step.arguments.get("ProcessingResources")).get("ClusterConfig"))
    for member in ("InstanceType", "InstanceCount"):
        if member not in cluster and "InstancePreferences" not in cluster:
            yield f"ProcessingResources.ClusterConfig.{member}: is missing"
    outputs = as_dict(step.arguments.get("ProcessingOutputConfig")).get("Outputs")
    yield from _local_path_problems("ProcessingInputs", step.arguments.get("ProcessingInputs"), "S3Input")
    yield from _local_path_problems("ProcessingOutputConfig.Outputs", outputs, "S3Output")
    yield from _twice("ProcessingInputs", _names(step.arguments.get("ProcessingInputs"), "InputName"))
    yield from _twice("ProcessingOutputConfig.Outputs", _names(outputs, "OutputName"))


def _local_path_problems(path: str, entries: Any, member: str) -> Iterator[str]:
    for index, entry in enumerate(as_list(entries)):
        where, entry = f"{path}[{index}].{member}.LocalPath", as_dict(entry)
        if member not in entry or entry.get("AppManaged") is True:
            continue
        local = as_dict(entry[member]).get("LocalPath")
        if local is None:
            yield f"{where}: is missing"
        elif isinstance(local, str) and not local.startswith("/opt/ml/processing/"):
            yield f"{where}: {shown(local)} must lie under /opt/ml/processing/"


def register_problems(step: Step) -> Iterator[str]:
    """A registered version belongs to a group and takes the group's tags."""
    if "ModelPackageGroupName" not in step.arguments:
        yield "ModelPackageGroupName: is missing; without a group the model gets no version number"
    elif "Tags" in step.arguments:
        yield "Tags: a version of a model package group takes the group's tags and allows none of its own"


def fail_problems(step: Step) -> Iterator[str]:
    """A Fail step has a message and nothing else."""
    for member in sorted(step.arguments.keys() - {"ErrorMessage"}):
        yield f"{member}: unknown member{did_you_mean(member, ['ErrorMessage'])}"
    if not step.arguments.get("ErrorMessage"):
        yield "ErrorMessage: is missing; it is all that the reader of a failed execution gets to see"


def slash_places(step: Step) -> Iterator[tuple[str, Any]]:
    """The S3 prefixes that must end in "/": without it they also take in siblings (`run-1` takes `run-10`)."""
    if step.type == "Training" and "S3Uri" in (config := as_dict(step.arguments.get("CheckpointConfig"))):
        yield "CheckpointConfig.S3Uri", config["S3Uri"]
    yield from _prefix_sources(step.arguments, "")


def _prefix_sources(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _prefix_sources(item, f"{path}[{index}]")
    elif isinstance(value, dict) and not is_expression(value):
        source = as_dict(as_dict(value.get("ModelDataSource")).get("S3DataSource"))
        if source.get("S3DataType") == "S3Prefix" and "S3Uri" in source:
            yield f"{path}.ModelDataSource.S3DataSource.S3Uri".lstrip("."), source["S3Uri"]
        for key, item in value.items():
            yield from _prefix_sources(item, f"{path}.{key}" if path else key)


def slash_problem(definition: Definition, value: Any, given: Mapping[str, str] | None = None) -> str:
    """Whether a prefix ends in "/", as far as its tail is known before a run."""
    text = evaluate(definition, value, given).value
    if not isinstance(text, str) or text.endswith(("/", UNKNOWN)):
        return ""
    return f'{shown(text)} must end in "/"; without it the prefix also takes in its siblings'


def _names(entries: Any, member: str) -> list[Any]:
    return [as_dict(entry).get(member) for entry in as_list(entries)]


def _twice(path: str, names: list[Any]) -> Iterator[str]:
    for name, count in Counter(name for name in names if isinstance(name, str)).items():
        if count > 1:
            yield f"{path}: {name} is there {count} times"
