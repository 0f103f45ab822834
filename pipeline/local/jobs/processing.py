"""Runs a Processing job here: inputs to their LocalPath, one node, outputs to the local store that stands for S3.

A Spark job is one node too, whatever number of instances it asks for: its cluster is this machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.files import write_json
from pipeline.local.jobs.engine import Request
from pipeline.local.jobs.instances import resource_config
from pipeline.local.jobs.job import Job, local_path, run_job, runtime_limit, times
from pipeline.local.plan import spark
from pipeline.local.plan.support import ML_ROOT
from pipeline.texts import now
from steps.champion import approved, objects
from steps.preprocess import as_given


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
    for given in arguments.get("ProcessingInputs", []):
        job.store.download(given["S3Input"]["S3Uri"], local_path(given["S3Input"]["LocalPath"], ml))
    for output in outputs:
        local_path(output["S3Output"]["LocalPath"], ml).mkdir(parents=True, exist_ok=True)
    (ml / "output").mkdir(parents=True)

    described = {**arguments, "ProcessingJobName": job.name, "ProcessingJobArn": job.arn("processing-job")}
    write_json(ml / "config" / "processingjobconfig.json", described)

    shared = {f"{ML_ROOT}/registry": job.registry, f"{ML_ROOT}/store": job.store.folder}
    names = (approved.VARIABLE, objects.VARIABLE)
    platform = {name: str(local_path(path, job.engine.root(ml))) for name, path in zip(names, shared, strict=True)}
    given = [entry["S3Input"]["S3Uri"] for entry in arguments.get("ProcessingInputs", [])]
    origins = {uri: origin for uri in given if (origin := job.store.origin(uri)) is not None}
    platform[as_given.VARIABLE] = json.dumps(origins)
    request = Request(
        image=application.get("ImageUri", ""),
        entrypoint=application["ContainerEntrypoint"],
        arguments=application.get("ContainerArguments", []),
        environment=arguments.get("Environment", {}),
        platform=platform | (spark.environment(ml) if spark.is_spark(application) else {}),
        shared=shared,
    )
    instance = arguments.get("ProcessingResources", {}).get("ClusterConfig", {}).get("InstanceType", "local")
    isolated = arguments.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)
    with job.engine.group(job.name, 1, isolated) as group:
        (host,) = group.hosts
        write_json(ml / "config" / "resourceconfig.json", resource_config(group, host, instance))
        node = job.engine.node(job.name, ml, group, host, request, job.repository)
        run_job(job, [node], runtime_limit(arguments))

    for output in outputs:
        job.store.take(local_path(output["S3Output"]["LocalPath"], ml), output["S3Output"]["S3Uri"])
    return {**described, "ProcessingJobStatus": "Completed", **times(started, "Processing")}
