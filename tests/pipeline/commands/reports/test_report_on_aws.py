"""report on AWS: SageMaker is botocore's Stubber, whose answers fit the API model; S3 and the logs are moto's."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.cli import main
from pipeline.commands.shared import on_aws
from tests.document import Document, require_whole
from tests.pipeline.answers import JOBS, NOON, STEPS, add_status
from tests.pipeline.report import made

PIPELINE = f"{JOBS}:pipeline/dpo-quickstart"
ARN = f"{PIPELINE}/execution/abcdefghijkl"

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def stub(monkeypatch):
    clients = {name: boto3.client(name) for name in ("sagemaker", "s3", "logs")}
    monkeypatch.setattr(on_aws, "client", lambda service, *_: clients[service])
    with Stubber(clients["sagemaker"]) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def call(root, tmp_path, capsys):
    def run(*words):
        options = ("--local-root", str(tmp_path), "--settings", str(root / "configs" / "quickstart.yaml"))
        code = main(["report", *options, *words])
        return code, *capsys.readouterr()

    return run


def add_definition(stub: Stubber) -> None:
    given = [{"Name": "Beta", "Value": "0.3"}]
    stub.add_response("list_pipeline_parameters_for_execution", {"PipelineParameters": given})
    answer = {"PipelineDefinition": json.dumps(made.definition())}
    stub.add_response("describe_pipeline_definition_for_execution", answer)


def test_a_failed_execution_in_the_account_has_a_page_with_the_fix(stub, call, tmp_path):
    reason = "ResourceLimitExceeded: The account-level service limit 'ml.g5.12xlarge for training job usage' is 0"
    train = STEPS[1] | {"FailureReason": reason}
    add_status(stub, "Failed", [train], reason="Step failure", arn=ARN)
    add_definition(stub)
    stub.add_response(
        "describe_pipeline", {"PipelineArn": PIPELINE, "PipelineDefinition": json.dumps(made.definition())}
    )
    add_definition(stub)
    code, out, err = call(ARN)
    file = tmp_path / "reports" / "dpo-quickstart-abcdefghijkl.html"
    assert (code, out, err) == (0, f"{file}\n", "")
    require_whole(html := file.read_text())
    text = Document(html).text
    assert "Failed in Train" in text and "ask for more in Service Quotas" in text and "start --set Beta=0.3" in text
    assert "python pipeline.py logs abcdefghijkl" in text and "on AWS" in text


def test_all_executions_of_the_pipeline_are_listed(stub, call, tmp_path):
    found = {"PipelineExecutionArn": ARN, "StartTime": NOON, "PipelineExecutionStatus": "Executing"}
    stub.add_response("list_pipeline_executions", {"PipelineExecutionSummaries": [found]})
    add_status(stub, "Executing", [STEPS[2]], arn=ARN)
    code, out, _ = call("--all", "--json")
    file = tmp_path / "reports" / "dpo-quickstart-runs.html"
    assert code == 0 and json.loads(out) == {"executions": "1", "file": str(file)}
    assert "abcdefghijkl" in file.read_text()
