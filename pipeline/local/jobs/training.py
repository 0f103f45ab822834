"""Runs a Training job here: channels and hyperparameters in, one or several nodes, model artifacts out.

Nodes have a tree each, checkpoints included (`checkpoints.py`). What /opt/ml/model holds of all of them is merged as
AWS merges it, the first node's files winning.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import write_json
from pipeline.local.jobs import platform_variables
from pipeline.local.jobs.checkpoints import checkpoints
from pipeline.local.jobs.engine import Group, Request
from pipeline.local.jobs.instances import gpus, resource_config, shares
from pipeline.local.jobs.job import Job, run_job, runtime_limit, times
from pipeline.local.plan.expressions import to_text
from pipeline.local.plan.support import ML_ROOT
from pipeline.settings.content import relative_files
from pipeline.texts import now

INPUT = f"{ML_ROOT}/input"


def run_training(job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run the job and return what DescribeTrainingJob would answer.

    Raises:
        JobFailed: a node failed, or the time limit passed.
        JobStopped: someone asked to stop.
        UserError: an input is not there, or the artifacts cannot be stored.
    """
    started = now().isoformat()
    algorithm = arguments["AlgorithmSpecification"]
    count = arguments.get("ResourceConfig", {}).get("InstanceCount", 1)
    patterns = {metric["Name"]: re.compile(metric["Regex"]) for metric in algorithm.get("MetricDefinitions", [])}
    devices = shares(gpus(), count)
    trees = [job.root(node) for node in range(count)]
    of_image = platform_variables.of_the_image("training", job.scratch)
    of_image |= platform_variables.of_the_code(job.repository)
    with job.engine.group(job.name, count, arguments.get("EnableNetworkIsolation", False)) as group:
        nodes = []
        for ml, host, own in zip(trees, group.hosts, devices, strict=True):
            _lay_out(job, ml, arguments)
            _configure(ml, arguments, group, host)
            request = Request(
                image=algorithm.get("TrainingImage", ""),
                entrypoint=algorithm["ContainerEntrypoint"],
                arguments=algorithm.get("ContainerArguments", []),
                environment=arguments.get("Environment", {}),
                platform=_variables(job, algorithm, own),
                shared={},
                devices=own,
                of_image=of_image,
                aws=job.aws,
                writable=job.writable,
                inputs=[INPUT],
            )
            nodes.append(job.engine.node(job.name, ml, group, host, request, job.repository))
        with checkpoints(job.store, arguments.get("CheckpointConfig"), trees):
            metrics = run_job(job, "Training", nodes, runtime_limit(arguments), patterns, read_only=[INPUT])

    artifacts = _upload(job, len(nodes), arguments["OutputDataConfig"])
    ended = now().isoformat()
    final = [{"MetricName": name, "Value": value, "Timestamp": ended} for name, value in metrics.items()]
    return {
        **arguments,
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn("training-job"),
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": artifacts},
        "FinalMetricDataList": final,
        **times(started, "Training"),
    }


def _lay_out(job: Job, ml: Path, arguments: Mapping[str, Any]) -> None:
    for name in ("input/config", "input/data", "model", "output/data"):
        (ml / name).mkdir(parents=True)
    for channel in arguments.get("InputDataConfig", []):
        job.store.download(channel["DataSource"]["S3DataSource"]["S3Uri"], ml / "input/data" / channel["ChannelName"])


def _configure(ml: Path, arguments: Mapping[str, Any], group: Group, host: str) -> None:
    """Write input/config: hyperparameters (all of them texts), channels, and the nodes of the job."""
    algorithm = arguments["AlgorithmSpecification"]
    hyperparameters = {name: to_text(value) for name, value in arguments.get("HyperParameters", {}).items()}
    resources = resource_config(group, host, arguments.get("ResourceConfig", {}).get("InstanceType", "local"))
    channels = {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", algorithm.get("TrainingInputMode", "File")),
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in arguments.get("InputDataConfig", [])
    }
    config = ml / "input/config"
    write_json(config / "hyperparameters.json", hyperparameters)
    write_json(config / "inputdataconfig.json", channels)
    write_json(config / "resourceconfig.json", resources)


def _variables(job: Job, algorithm: Mapping[str, Any], devices: list[str]) -> dict[str, str]:
    """What SageMaker sets, which of this machine's GPUs are the node's, and where the local run is tracked."""
    # A file of this machine, which a container does not see.
    tracking = {"MLFLOW_TRACKING_URI": job.mlflow} if job.engine.name == "processes" and not job.aws else {}
    return {
        **platform_variables.of_the_platform(algorithm.get("TrainingImage", ""), job.aws),
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn("training-job"),
        **tracking,
        "CUDA_VISIBLE_DEVICES": ",".join(devices),
    }


def _upload(job: Job, nodes: int, config: Mapping[str, Any]) -> str:
    """Store model and output data, and return the model's S3 URI."""
    home = f"{config['S3OutputPath'].rstrip('/')}/{job.name}/output"
    plain = config.get("CompressionType") == "NONE"
    for folder, archive in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
        trees = [job.root(node) / folder for node in reversed(range(nodes))]  # the first node last: its files win
        if plain:
            for tree in trees:
                job.store.take(tree, f"{home}/{Path(folder).name}")
            continue
        files = {name: file for tree in trees for name, file in relative_files(tree).items()}
        if files or folder == "model":
            packed = job.folder / archive
            _pack(files, packed)
            job.store.take(packed, f"{home}/{archive}")
    return f"{home}/model/" if plain else f"{home}/model.tar.gz"


def _pack(files: Mapping[str, Path], archive: Path) -> None:
    # Level 1: weights hardly shrink, and a better level takes minutes for a few percent. Links become the files they
    # point to, so that unpacking the archive can neither leave its folder nor depend on this machine.
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        for name in sorted(files):
            tar.add(files[name], arcname=name)
