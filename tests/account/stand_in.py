"""moto's server with what it lacks behind it: executions that run, in the local executor, and their answers.

A started execution runs the definition that was upserted, with its parameters, as `start --local` would. Its bucket is
brought from moto's S3 before, and back after. What AWS itself does not share with the local run (its own expressions,
formats, roles) this cannot show.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from moto.sagemaker.models import sagemaker_backends
from moto.server import DomainDispatcherApplication, create_backend_app

from pipeline.local.executor import create_execution
from pipeline.local.state import model_packages, records
from pipeline.local.state.records import Execution, StepRecord
from pipeline.local.state.store import Store
from pipeline.parameters.values import resolve_parameters
from tests.forks.client import Forked
from tests.pipeline.moto_server import ACCOUNT, client
from tests.pipeline.registered import unexpected

PIPELINE = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/"
TIMES = ("CreationTime", "LastModifiedTime", *(f"{kind}{end}Time" for kind in ("Training", "Processing")
                                               for end in ("Start", "End")))  # fmt: skip
RETRY_SECONDS = 50  # of what failed last in the scenario; a client waits for 60
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
MISSING = {"__type": "ValidationException", "message": "there is no such thing: it does not exist"}


class StandIn:
    """A WSGI application: moto's, but for the operations that are methods here.

    Attributes:
        endpoint: its own address, once it is served.
        refused: members of a Register step that it refuses, as Pipelines has done.
    """

    def __init__(self, root: Path, run: Callable[[str], Forked]):
        """`run` starts `pipeline.py retry EXECUTION` on the local root, and does not wait for it."""
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.root, self.store, self.run = root, Store(root), run
        self.endpoint, self.refused = "", ""
        self.starts: dict[str, str] = {}  # a start's token -> its execution
        self.brought: set[str] = set()  # executions whose objects have been brought back
        self.runs: list[Forked] = []  # kept, since a command ends with whoever started it
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("SageMaker.")
        answer = getattr(self, operation, None) if operation else None
        if answer is None:
            return self.moto(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            found = answer(json.loads(body or b"{}"), body)
        if found is None:  # moto's after all
            return self.moto({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
        status = "400 Bad Request" if "__type" in found else "200 OK"
        start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(found, default=str).encode()]

    # --- pipelines ---

    def CreatePipeline(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any] | None:
        if self.refused and f'"{self.refused}"' in request["PipelineDefinition"]:
            words = f"Unable to parse pipeline definition. Unknown Argument member '{self.refused}'"
            return {"__type": "ValidationException", "message": words}
        return None

    UpdatePipeline = CreatePipeline

    # --- executions ---

    def StartPipelineExecution(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        token, name = request["ClientRequestToken"], request["PipelineName"]
        if token not in self.starts:
            described = client(self.endpoint, "sagemaker").describe_pipeline(PipelineName=name)
            definition = json.loads(described["PipelineDefinition"])
            given = {entry["Name"]: entry["Value"] for entry in request.get("PipelineParameters", [])}
            self._fetch()
            values = resolve_parameters(definition, given)
            execution = create_execution(
                self.root, name, definition, values, request.get("PipelineExecutionDisplayName")
            )
            self.starts[token] = execution.id
            self.runs.append(self.run(execution.id))
        return {"PipelineExecutionArn": f"{PIPELINE}{name}/execution/{self.starts[token]}"}

    def RetryPipelineExecution(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        execution = self._execution(request)
        self.brought.discard(execution.id)
        self.runs.append(self.run(execution.id))
        self.runs[-1].wait(RETRY_SECONDS)  # else the execution would be seen as it failed before
        return {"PipelineExecutionArn": request["PipelineExecutionArn"]}

    def StopPipelineExecution(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        records.stop(self.root, self._execution(request).id)
        return {"PipelineExecutionArn": request["PipelineExecutionArn"]}

    def DescribePipelineExecution(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        execution = self._execution(request)
        if execution.status not in ("Executing", "Stopping") and execution.id not in self.brought:
            self._bring_back()
            self._log(execution)
            self.brought.add(execution.id)
        return {"PipelineExecutionArn": request["PipelineExecutionArn"], **_summary(execution)} | (
            {"FailureReason": execution.failure_reason} if execution.failure_reason else {}
        )

    def ListPipelineExecutions(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        found = [one for one in records.load_all(self.root, unexpected) if one.pipeline_name == request["PipelineName"]]
        arns = ({"PipelineExecutionArn": f"{PIPELINE}{one.pipeline_name}/execution/{one.id}"} for one in found)
        summaries = ({**arn, **_summary(one)} for arn, one in zip(arns, found, strict=True))
        return {"PipelineExecutionSummaries": list(summaries)}

    def ListPipelineExecutionSteps(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        steps = self._execution(request).steps
        return {"PipelineExecutionSteps": [_step(step) for step in steps if step.status not in ("Pending", "Skipped")]}

    def _execution(self, request: Mapping[str, Any]) -> Execution:
        return records.load(self.root, request["PipelineExecutionArn"].rpartition("/")[2])

    # --- jobs and versions, as the local run has them ---

    def DescribeTrainingJob(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        return self._job("TrainingJobName", request["TrainingJobName"])

    def DescribeProcessingJob(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        return self._job("ProcessingJobName", request["ProcessingJobName"])

    def _job(self, member: str, name: str) -> dict[str, Any]:
        found = (step.properties for one in records.load_all(self.root, unexpected) for step in one.steps)
        return next((_timed(one) for one in found if one.get(member) == name), MISSING)

    def ListModelPackages(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        found = model_packages.list_models(self.root, unexpected, request["ModelPackageGroupName"])
        return {"ModelPackageSummaryList": [_timed(package) for package in found]}

    def DescribeModelPackage(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        return _timed(model_packages.describe(self.root, request["ModelPackageName"]))

    def DeleteModelPackage(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        group, version = request["ModelPackageName"].split("/")[-2:]
        shutil.rmtree(model_packages.home(self.root) / group / version)
        return {}

    def DeleteModelPackageGroup(self, request: Mapping[str, Any], _body: bytes) -> dict[str, Any]:
        del sagemaker_backends[ACCOUNT]["us-east-1"].model_package_groups[request["ModelPackageGroupName"]]
        return {}

    # --- the bucket, here and there ---

    def _fetch(self) -> None:
        """Objects that the local store lacks: one that is there is the same, its key holds its content's hash."""
        s3 = client(self.endpoint, "s3")
        for bucket in s3.list_buckets()["Buckets"]:
            for entry in _listed(s3, bucket["Name"]):
                place = self.store.path(f"s3://{bucket['Name']}/{entry}")
                if not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    s3.download_file(bucket["Name"], entry, str(place))

    def _bring_back(self) -> None:
        s3 = client(self.endpoint, "s3")
        for bucket in self.store.folder.iterdir():
            there = set(_listed(s3, bucket.name))
            for file in bucket.rglob("*"):
                key = file.relative_to(bucket).as_posix()
                if file.is_file() and key not in there:
                    s3.upload_file(str(file), bucket.name, key)

    def _log(self, execution: Execution) -> None:
        """The logs of its trainings, as CloudWatch keeps them."""
        logs = client(self.endpoint, "logs")
        for step in execution.steps:
            if step.type == "Training" and step.log and not step.cached:
                stream = f"{step.properties['TrainingJobName']}/algo-1-1"
                logs.create_log_group(logGroupName=TRAINING_LOGS)
                logs.create_log_stream(logGroupName=TRAINING_LOGS, logStreamName=stream)
                line = {
                    "timestamp": int(execution.created.timestamp() * 1000),
                    "message": Path(step.log).read_text()[:200],
                }
                logs.put_log_events(logGroupName=TRAINING_LOGS, logStreamName=stream, logEvents=[line])


def _listed(s3: Any, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _summary(execution: Execution) -> dict[str, Any]:
    begun = execution.created.timestamp()
    times = {
        "CreationTime": begun,
        "StartTime": begun,
        "LastModifiedTime": (execution.ended or execution.created).timestamp(),
    }
    return {"PipelineExecutionStatus": execution.status, **times}


def _step(step: StepRecord) -> dict[str, Any]:
    kinds = {"Processing": "ProcessingJob", "Training": "TrainingJob"}
    found: dict[str, Any] = {"StepName": step.name, "StepStatus": step.status}
    if step.cached:
        found["CacheHitResult"] = {"SourcePipelineExecutionArn": f"{PIPELINE}p/execution/aaaaaaaaaaaa"}
    if step.failure_reason:
        found["FailureReason"] = step.failure_reason
    if step.type in kinds and step.properties:
        found["Metadata"] = {kinds[step.type]: {"Arn": step.properties[f"{kinds[step.type]}Arn"]}}
    elif step.type == "RegisterModel" and step.properties:
        found["Metadata"] = {"RegisterModel": {"Arn": step.properties["ModelPackageArn"]}}
    elif step.type == "Condition":
        found["Metadata"] = {"Condition": {"Outcome": step.properties.get("Outcome", "")}}
    elif step.type == "Fail":
        found["Metadata"] = {"Fail": {"ErrorMessage": step.failure_reason or ""}}
    times = {"StartTime": step.started, "EndTime": step.ended}
    return found | {name: time.timestamp() for name, time in times.items() if time}


def _timed(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The local run's times as the service's JSON has them."""
    return {
        name: datetime.fromisoformat(value).timestamp() if name in TIMES else value for name, value in answer.items()
    }
