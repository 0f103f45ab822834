"""The notebook for Studio, executed by a real kernel. Its commands are forked, and call moto's server over HTTP.

moto completes every execution at once and does not list an execution's steps (it answers 500): what it cannot tell is
answered here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import nbformat
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from werkzeug.serving import make_server

from tests.conftest import ROOT
from tests.pipeline.moto_server import BUCKET, access, client, reset, write_settings
from tests.pipeline.registered import evaluation

NOTEBOOK = ROOT / "pipeline" / "studio.ipynb"
GROUP = "dpo-quickstart"
PREPROCESS = {"StepName": "Preprocess", "StepStatus": "Succeeded"}
TRAIN = {"StepName": "Train", "StepStatus": "Failed", "FailureReason": "the disk was full"}
EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo-quickstart/execution/abcdef123456"


class Server:
    """moto's, but for the operations in `answers`."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.answers: dict[str, dict[str, Any]] = {}

    def __call__(self, environ, start_response):
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("SageMaker.")
        if operation not in self.answers:
            return self.moto(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(self.answers[operation]).encode()]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Server, str]]:
    application = Server()
    made = make_server("127.0.0.1", 0, application, threaded=True)
    Thread(target=made.serve_forever, daemon=True).start()
    reset(f"http://127.0.0.1:{made.server_port}")
    yield application, f"http://127.0.0.1:{made.server_port}"
    made.shutdown()


@pytest.fixture(scope="module")
def settings(server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's settings in moto's account, where a version is registered and approved already."""
    endpoint = server[1]
    path = write_settings(tmp_path_factory.mktemp("configs"))
    s3, sagemaker = client(endpoint, "s3"), client(endpoint, "sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="models/tiny/config.json", Body=b"{}")
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    versions = {"Approved": {"a": -0.5, "b": 0.5}, "PendingManualApproval": {"a": 0.4, "b": 0.6}}
    for status, margins in versions.items():
        s3.put_object(Bucket=BUCKET, Key=f"{status}/evaluation.json", Body=json.dumps(evaluation(margins)))
        sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus=status,
            ModelMetrics={"ModelQuality": {"Statistics": {
                "ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/{status}/evaluation.json"
            }}},
            CustomerMetadataProperties={"variant": "adapter"},
        )  # fmt: skip
    return path


@pytest.fixture
def execute(server, settings: Path, fork_server, monkeypatch: pytest.MonkeyPatch):
    """`execute(parameters, cells)`: the outputs of the notebook's cells, by id; of all of them where none are named."""
    for name, value in access(server[1], settings.parent).items():
        monkeypatch.setenv(name, value)

    def run(parameters: str, cells: Collection[str] = ()):
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        (first,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        python = f"import sys\nsys.executable = {fork_server(True).python!r}"
        first.source = f"SETTINGS = {str(settings)!r}\n{parameters}\n{python}"
        notebook.cells = [cell for cell in notebook.cells if not cells or cell.id in cells]
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
        return {cell.id: cell.get("outputs", []) for cell in notebook.cells}

    return run


def texts(outputs: list[dict[str, Any]]) -> str:
    return "".join(output.get("text", "") for output in outputs)


def test_it_is_stored_without_outputs_and_is_valid() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_it_deploys_starts_watches_and_compares(server, execute) -> None:
    server[0].answers = {"ListPipelineExecutionSteps": {"PipelineExecutionSteps": [PREPROCESS]}}
    outputs = execute("PARAMETERS = {'Beta': 0.3}")
    sagemaker = client(server[1], "sagemaker")
    (started,) = sagemaker.list_pipeline_executions(PipelineName="dpo-quickstart")["PipelineExecutionSummaries"]
    arn = started["PipelineExecutionArn"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    assert {"Name": "Beta", "Value": "0.3"} in given
    watched = outputs["watch"][0]["data"]["text/html"]
    assert "Succeeded" in watched and "<td>Preprocess</td>" in watched
    assert arn.rpartition("/")[2] in watched
    kinds = [kind for output in outputs["compare"] for kind in output.get("data", {})]
    assert "reward accuracy" in texts(outputs["compare"]).lower() and "image/png" in kinds


def test_an_execution_that_failed_ends_it_with_the_step_and_what_comes_next(server, execute) -> None:
    server[0].answers = {
        "DescribePipelineExecution": {"PipelineExecutionArn": EXECUTION, "PipelineExecutionStatus": "Failed"},
        "ListPipelineExecutionSteps": {"PipelineExecutionSteps": [PREPROCESS, TRAIN]},
    }
    with pytest.raises(CellExecutionError, match="Train failed: the disk was full"):
        execute(f"execution = {{'id': {EXECUTION!r}}}", ("parameters", "commands", "watch", "why"))
