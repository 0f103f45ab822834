"""Runs a Training job here: channels and hyperparameters in, one or several nodes, model artifacts out.

Nodes have a tree each; what /opt/ml/model holds of all of them is merged as AWS merges it, the first node's files
winning. The checkpoint folder is the S3 folder itself: what a job writes is stored at once, and what was stored is
there when it starts, as AWS's syncing does.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.local.jobs.engine import Group, Request
from pipeline.local.jobs.instances import gpus, resource_config, shares
from pipeline.local.jobs.job import Job, run_job, runtime_limit, times
from pipeline.local.plan.expressions import to_text
from pipeline.local.plan.support import ML_ROOT
from pipeline.settings.content import relative_files
from pipeline.texts import now


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
    shared, devices = _checkpoints(job, arguments), shares(gpus(), count)
    with job.engine.group(job.name, count, arguments.get("EnableNetworkIsolation", False)) as group:
        nodes = []
        for index, host in enumerate(group.hosts):
            ml = job.root(index)
            _lay_out(job, ml, arguments)
            request = Request(
                image=algorithm.get("TrainingImage", ""),
                entrypoint=algorithm["ContainerEntrypoint"],
                arguments=algorithm.get("ContainerArguments", []),
                environment=arguments.get("Environment", {}),
                platform=_configure(job, ml, arguments, group, host, devices[index]),
                shared=shared,
                devices=devices[index],
            )
            nodes.append(job.engine.node(job.name, ml, group, host, request, job.repository))
        metrics = run_job(job, nodes, runtime_limit(arguments), patterns)

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


def _checkpoints(job: Job, arguments: Mapping[str, Any]) -> dict[str, Path]:
    """Where the nodes find their checkpoints, and the store's folder that these are."""
    config = arguments.get("CheckpointConfig")
    if not config:
        return {}
    uri = config["S3Uri"]
    if not uri.endswith("/"):
        raise UserError(
            f"CheckpointConfig.S3Uri {uri}: must end in '/': without it AWS also restores the checkpoints of "
            f"every run whose prefix starts the same ({uri.rpartition('/')[2]} takes {uri.rpartition('/')[2]}0)"
        )
    return {config.get("LocalPath", f"{ML_ROOT}/checkpoints"): job.store.path(uri)}


def _configure(
    job: Job, ml: Path, arguments: Mapping[str, Any], group: Group, host: str, devices: list[str]
) -> dict[str, str]:
    """Write input/config and return the variables that say the same, and where everything lies."""
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
    seen = job.engine.root(ml)
    # A file of this machine, which a container does not see.
    tracking = {"MLFLOW_TRACKING_URI": job.mlflow} if job.engine.name == "processes" else {}
    return {
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn("training-job"),
        **tracking,
        "SM_HOSTS": json.dumps(group.hosts),
        "SM_CURRENT_HOST": host,
        "SM_NETWORK_INTERFACE_NAME": group.interface,
        "SM_NUM_CPUS": str(max(1, (os.cpu_count() or 1) // len(group.hosts))),
        "SM_NUM_GPUS": str(len(devices)),
        "CUDA_VISIBLE_DEVICES": ",".join(devices),
        "SM_HPS": json.dumps(hyperparameters),
        "SM_CHANNELS": json.dumps(sorted(channels)),
        **{f"SM_CHANNEL_{name.upper()}": str(seen / "input/data" / name) for name in channels},
        "SM_MODEL_DIR": str(seen / "model"),
        "SM_INPUT_DIR": str(seen / "input"),
        "SM_INPUT_CONFIG_DIR": str(seen / "input/config"),
        "SM_OUTPUT_DIR": str(seen / "output"),
        "SM_OUTPUT_DATA_DIR": str(seen / "output/data"),
        "SM_RESOURCE_CONFIG": json.dumps(resources),
        "SM_INPUT_DATA_CONFIG": json.dumps(channels),
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
