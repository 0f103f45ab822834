"""Processing jobs: inputs to their LocalPath, one process, outputs to S3.

A Spark job is one process too, whatever number of instances it asks for: its cluster is this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.local import spark
from pipeline.local.container import command, environment, hosts, local_path, resource_config
from pipeline.local.executions import now
from pipeline.local.files import write_json
from pipeline.local.jobs import Job, run_job, runtime_limit, times
from pipeline.local.processes import Node
from steps.champion import objects, registry


def run_processing(job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run the job and return what DescribeProcessingJob would answer.

    Raises:
        JobFailed: the process failed.
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

    (host,) = hosts(1)
    instance = arguments.get("ProcessingResources", {}).get("ClusterConfig", {}).get("InstanceType", "local")
    write_json(ml / "config" / "resourceconfig.json", resource_config([host], host, instance))
    described = {**arguments, "ProcessingJobName": job.name, "ProcessingJobArn": job.arn("processing-job")}
    write_json(ml / "config" / "processingjobconfig.json", described)

    words = command(application["ContainerEntrypoint"], application.get("ContainerArguments", []), ml)
    platform = {registry.VARIABLE: str(job.registry), objects.VARIABLE: str(job.store.folder)}
    platform |= spark.environment(ml) if spark.is_spark(application) else {}
    node = Node(host, words, environment(arguments.get("Environment", {}), platform, ml, job.repository))
    run_job(job, [node], runtime_limit(arguments))

    for output in outputs:
        job.store.take(local_path(output["S3Output"]["LocalPath"], ml), output["S3Output"]["S3Uri"])
    return {**described, "ProcessingJobStatus": "Completed", **times(started, "Processing")}
