"""How a running training job stands: its phase, and the last values of the metrics that it reports to CloudWatch.

Is handed its clients. Limits: CloudWatch has a value a minute or so after the job printed it, averaged over a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NAMESPACE = "/aws/sagemaker/TrainingJobs"
DIMENSION = "TrainingJobName"
PERIOD_SECONDS = 60
WINDOW = timedelta(minutes=30)  # a metric that is older than this is not what the job is doing now
LARGEST = {"train:step", "train:max_steps"}  # counters, of which a minute's last value is wanted
ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class JobProgress:
    """A training job's phase (such as Downloading, Training, Interrupted) and the last values of its metrics."""

    phase: str
    metrics: dict[str, float]


def progress(sagemaker: Any, cloudwatch: Any, job_name: str) -> JobProgress:
    """The phase and the metrics of a training job: CloudWatch's while it runs, the job's own final ones afterwards."""
    job = sagemaker.describe_training_job(TrainingJobName=job_name)
    final = {entry["MetricName"]: float(entry["Value"]) for entry in job.get("FinalMetricDataList", [])}
    if job["TrainingJobStatus"] in ENDED:
        return JobProgress(job["SecondaryStatus"], final)
    names = [entry["Name"] for entry in job["AlgorithmSpecification"].get("MetricDefinitions", [])]
    return JobProgress(job["SecondaryStatus"], final | last_values(cloudwatch, job_name, names))


def last_values(cloudwatch: Any, job_name: str, names: list[str]) -> dict[str, float]:
    """The last value of each of these metrics that has one."""
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
    statistic = "Maximum" if name in LARGEST else "Average"
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": PERIOD_SECONDS, "Stat": statistic}}
