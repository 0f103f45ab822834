"""How a running training job stands: its phase, and the last values of the metrics that it reports to CloudWatch.

Is handed its clients. Limits: CloudWatch has a value a minute or so after the job printed it, averaged over a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NAMESPACE = "/aws/sagemaker/TrainingJobs"
DIMENSION = "TrainingJobName"
PERIOD_SECONDS = 60
WINDOW = timedelta(minutes=30)  # a metric that is older than this is not what the job is doing now
ENDED = ("Completed", "Failed", "Stopped")
# What is shown of a running job. CloudWatch takes money for each metric of each request: a cent for a thousand.
WATCHED = {
    "train:step": "Maximum",  # a counter, of which a minute's last value is wanted
    "train:max_steps": "Maximum",
    "train:loss": "Average",
    "train:reward_accuracy": "Average",
    "eval:loss": "Average",
    "eval:reward_accuracy": "Average",
}


@dataclass(frozen=True)
class TrainingJob:
    """A training job.

    Attributes:
        phase: such as Downloading, Training, Interrupted.
        metrics: the final values that it has so far.
        declared: the names of all metrics that it reports.
    """

    phase: str
    ended: bool
    metrics: dict[str, float]
    declared: tuple[str, ...]


def describe(sagemaker: Any, job_name: str) -> TrainingJob:
    """A training job as it stands."""
    job = sagemaker.describe_training_job(TrainingJobName=job_name)
    return TrainingJob(
        job["SecondaryStatus"],
        job["TrainingJobStatus"] in ENDED,
        {entry["MetricName"]: float(entry["Value"]) for entry in job.get("FinalMetricDataList", [])},
        tuple(entry["Name"] for entry in job["AlgorithmSpecification"].get("MetricDefinitions", [])),
    )


def last_values(cloudwatch: Any, job_name: str, declared: Sequence[str]) -> dict[str, float]:
    """The last value of each watched metric that the job declares and that has one."""
    names = [name for name in WATCHED if name in declared]
    if not names:
        return {}
    now = datetime.now(UTC)
    queries = [_query(f"m{index}", name, job_name) for index, name in enumerate(names)]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=now - WINDOW, EndTime=now, ScanBy="TimestampDescending"
    )
    found: dict[str, float] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            if result["Values"]:
                found.setdefault(names[int(result["Id"][1:])], float(result["Values"][0]))
    return found


def _query(identity: str, name: str, job_name: str) -> dict[str, Any]:
    metric = {
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Dimensions": [{"Name": DIMENSION, "Value": job_name}],
    }
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": PERIOD_SECONDS, "Stat": WATCHED[name]}}
