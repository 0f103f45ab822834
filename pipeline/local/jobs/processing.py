"""Runs a Processing job here: inputs to their LocalPath, one node, outputs to the local store that stands for S3.

A Spark job is one node too, whatever number of instances it asks for: its cluster is this machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.files import write_json
from pipeline.local.jobs import platform_variables
from pipeline.local.jobs.engine import Request
from pipeline.local.jobs.job import Job, local_path, run_job, runtime_limit, times
from pipeline.local.plan import spark
from pipeline.local.plan.support import ML_ROOT
from pipeline.texts import now
from steps.champion import approved, objects
from steps.preprocess import as_given

# The members of processingjobconfig.json.
CONFIG = (
    "ProcessingJobArn", "ProcessingJobName", "AppSpecification", "Environment", "ProcessingInputs",
    "ProcessingOutputConfig", "ProcessingResources", "RoleArn", "StoppingCondition",
)  # fmt: skip


def run_processing(job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run the job and return what DescribeProcessingJob would answer.

    Raises:
        JobFailed: the node failed.
        JobStopped: someone asked to stop.
        UserError: an input is not there, or an output cannot be stored.
    """
    started = now().isoformat()
    ml = job.root(0)
    application = arguments["AppSpecification"]
    outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
    sources = [given["S3Input"] for given in arguments.get("ProcessingInputs", [])]
    read_only = [source["LocalPath"] for source in sources]
    for source in sources:
        job.store.download(source["S3Uri"], local_path(source["LocalPath"], ml))
    for output in outputs:
        local_path(output["S3Output"]["LocalPath"], ml).mkdir(parents=True, exist_ok=True)
    (ml / "output").mkdir(parents=True)

    described = {**arguments, "ProcessingJobName": job.name, "ProcessingJobArn": job.arn("processing-job")}
    write_json(
        ml / "config" / "processingjobconfig.json", {name: described[name] for name in CONFIG if name in described}
    )

    in_place = {} if job.aws else {approved.VARIABLE: job.registry, objects.VARIABLE: job.store.folder}
    shared = {f"{ML_ROOT}/{folder.name}": folder for folder in in_place.values()}
    is_spark = spark.is_spark(application)
    request = Request(
        image=application.get("ImageUri", ""),
        entrypoint=application["ContainerEntrypoint"],
        arguments=application.get("ContainerArguments", []),
        environment=arguments.get("Environment", {}),
        platform={
            **platform_variables.of_the_platform(application.get("ImageUri", ""), job.aws),
            **{name: f"{job.engine.root(ml)}/{folder.name}" for name, folder in in_place.items()},
            as_given.VARIABLE: json.dumps(_origins(job, [source["S3Uri"] for source in sources])),
            **(spark.environment(ml) if is_spark else {}),
        },
        shared=shared,
        of_image=platform_variables.of_the_image("spark" if is_spark else "processing", job.scratch),
        aws=job.aws,
        # The job that registers in the Register step's place calls an API on AWS, which this folder stands for.
        writable={**job.writable, **({} if job.aws else {job.registry: True})},
        inputs=[*read_only, f"{ML_ROOT}/config"],
    )
    isolated = arguments.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)
    with job.engine.group(job.name, 1, isolated) as group:
        (host,) = group.hosts
        write_json(ml / "config" / "resourceconfig.json", {"current_host": host, "hosts": group.hosts})
        node = job.engine.node(job.name, ml, group, host, request, job.repository)
        run_job(job, "Processing", [node], runtime_limit(arguments), read_only=read_only)

    for output in outputs:
        job.store.take(local_path(output["S3Output"]["LocalPath"], ml), output["S3Output"]["S3Uri"])
    return {**described, "ProcessingJobStatus": "Completed", **times(started, "Processing")}


def _origins(job: Job, uris: Iterable[str]) -> dict[str, str]:
    """For messages: from which file or folder of the user's the inputs came."""
    return {uri: origin for uri in uris if (origin := job.store.origin(uri)) is not None}
