"""upsert, start, list, delete and the registry's commands as processes, against moto's server over HTTP.

moto completes every execution at once and does not list an execution's steps (it answers 500), so `start` runs without
--wait here; watching and describing is tested with botocore's Stubber in test_execution_commands.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline import moto_server
from tests.pipeline.moto_server import ACCOUNT, BUCKET, client, write_settings


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server.running() as address:
        yield address


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, endpoint: str) -> Path:
    client(endpoint, "s3").create_bucket(Bucket=BUCKET)
    client(endpoint, "s3").put_object(Bucket=BUCKET, Key="models/tiny/config.json", Body=b"{}")
    return write_settings(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def access(endpoint: str, settings: Path) -> dict[str, str]:
    """What leads a process to moto's server."""
    return moto_server.access(endpoint, settings.parent)


@pytest.fixture(scope="module")
def variables(clean_environment: dict[str, str], access: dict[str, str]) -> dict[str, str]:
    """The whole environment of such a process, on a terminal with colours."""
    return clean_environment | access | {"TERM": "xterm-256color", "COLUMNS": "120"}


@pytest.fixture(scope="module")
def aws(forked, access: dict[str, str], settings):
    """Run a command against moto's server."""
    return lambda *words, **more: forked("pipeline.py", *words, "--settings", settings, **access | more)


@pytest.fixture(scope="module")
def deployed(aws) -> str:
    first, second = (aws("upsert", "--json") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == {"outcome": "created", "pipeline": "dpo-quickstart", "changes": []}
    assert json.loads(second.stdout)["outcome"] == "unchanged"
    return "dpo-quickstart"


def test_upsert_uploads_what_the_definition_refers_to(deployed: str, endpoint: str) -> None:
    answer = client(endpoint, "sagemaker").describe_pipeline(PipelineName=deployed)
    definition = json.loads(answer["PipelineDefinition"])
    data = next(entry for entry in definition["Parameters"] if entry["Name"] == "InputDataUri")["DefaultValue"]
    bucket, key = data.removeprefix("s3://").split("/", 1)
    assert client(endpoint, "s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    groups = client(endpoint, "sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == ["dpo-quickstart"]


@contextmanager
def edited(path: Path, before: str, after: str) -> Iterator[None]:
    """The file with other words in it, for as long as the context lasts."""
    text = path.read_text()
    assert before in text
    try:
        path.write_text(text.replace(before, after))
        yield
    finally:
        path.write_text(text)


def test_a_change_is_shown_and_made_only_with_a_yes(deployed: str, aws, endpoint: str, settings) -> None:
    sagemaker = client(endpoint, "sagemaker")
    before = sagemaker.describe_pipeline(PipelineName=deployed)["PipelineDefinition"]
    with edited(settings, "reward_accuracy_threshold: 0.55", "reward_accuracy_threshold: 0.7"):
        refused = aws("upsert")
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[:5] == [
            "parameter RewardAccuracyThreshold: changed",
            "  {",
            '-   "DefaultValue": 0.55',
            '+   "DefaultValue": 0.7',
            '    "Name": "RewardAccuracyThreshold"',
        ]
        assert "1 changed: parameter RewardAccuracyThreshold" in refused.stderr
        assert refused.stderr.endswith(f"python pipeline.py upsert --settings {settings} --yes\n")
        assert sagemaker.describe_pipeline(PipelineName=deployed)["PipelineDefinition"] == before
        with edited(settings, "pipeline_name:", "max_parallel_steps: 2\ntags: {team: search}\npipeline_name:"):
            done = aws("upsert", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    changes = {change["name"]: change["kind"] for change in json.loads(done.stdout)["changes"]}
    jobs = ("Preprocess", "Champion", "Train", "Gate", "Merge")  # they carry the tags too
    assert changes == dict.fromkeys(("pipeline", "parameter RewardAccuracyThreshold", *jobs), "changed")
    found = sagemaker.describe_pipeline(PipelineName=deployed)
    assert found["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 2}
    group = sagemaker.describe_model_package_group(ModelPackageGroupName=deployed)["ModelPackageGroupArn"]
    for arn in (found["PipelineArn"], group):
        assert {"Key": "team", "Value": "search"} in sagemaker.list_tags(ResourceArn=arn)["Tags"]


def test_on_a_terminal_the_diff_has_colours_and_a_question(deployed: str, variables, settings) -> None:
    group = "package_group: dpo-quickstart"
    with edited(settings, group, f"{group}\n  approval_status: Rejected"):
        text = on_a_terminal(["upsert", "--settings", str(settings)], variables, "y")
    assert "\x1b[32m+" in text and "parameter ModelApprovalStatus" in text  # green: a line that comes
    assert "Change pipeline dpo-quickstart (" in text and f"pipeline {deployed} updated" in text


def on_a_terminal(words: list[str], variables: dict[str, str], answer: str) -> str:
    """What a command prints on a terminal where its question is answered."""
    mine, its = pty.openpty()
    command = [sys.executable, "pipeline.py", *words]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=variables, cwd=ROOT)
    os.close(its)
    text, answered = "", False
    while True:
        try:
            read = os.read(mine, 4096).decode(errors="replace")
        except OSError:  # Linux's way to say that the other side of a terminal is closed
            break
        if not read:
            break
        text += read
        if "[y/N]" in text and not answered:
            os.write(mine, f"{answer}\n".encode())
            answered = True
    os.close(mine)
    process.wait()
    return text


def test_start_passes_the_parameters_on_and_uploads_local_data(deployed: str, aws, endpoint: str, tmp_path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    assert "upsert first: python pipeline.py upsert --settings " in aws("start").stderr  # the tests above changed it
    assert aws("upsert", "--yes").returncode == 0
    done = aws("start", "--set", "Beta=0.3", "--set", f"InputDataUri={data}")
    assert done.returncode == 0, done.stderr
    sagemaker = client(endpoint, "sagemaker")
    (newest, *_) = sagemaker.list_pipeline_executions(PipelineName=deployed)["PipelineExecutionSummaries"]
    arn = newest["PipelineExecutionArn"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    values = {entry["Name"]: entry["Value"] for entry in given}
    assert values["Beta"] == "0.3"
    bucket, key = values["InputDataUri"].removeprefix("s3://").split("/", 1)
    assert client(endpoint, "s3").get_object(Bucket=bucket, Key=key)["Body"].read() == data.read_bytes()


def test_a_wrong_parameter_is_refused_against_the_deployed_definition(deployed: str, aws) -> None:
    done = aws("start", "--set", "Bta=0.3")
    assert done.returncode == 1
    assert "Bta: no such parameter; did you mean Beta?" in done.stderr


def test_what_an_execution_reads_is_looked_at_before_it_starts(deployed: str, aws, endpoint: str) -> None:
    """Preprocess would find it after two jobs that are paid, a model's absence after three."""
    s3, sagemaker = client(endpoint, "s3"), client(endpoint, "sagemaker")
    for key in ("tables/a.txt", "tables/.hidden.jsonl", "good/a.txt", "good/deep/B.JSONL.GZ"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    before = sagemaker.list_pipeline_executions(PipelineName=deployed)["PipelineExecutionSummaries"]
    places = {"InputDataUri": f"s3://{BUCKET}/tables/", "ModelUri": "s3://there-is-no-such-bucket/model/"}
    done = aws("start", *(word for name, uri in places.items() for word in ("--set", f"{name}={uri}")))
    assert done.returncode == 1
    assert f"InputDataUri: s3://{BUCKET}/tables/: there is no file that Preprocess reads (it holds " in done.stderr
    assert "a.txt" in done.stderr and "readable are .json, .jsonl" in done.stderr
    assert "ModelUri: s3://there-is-no-such-bucket/model/: there is no bucket there-is-no-such-bucket" in done.stderr
    done = aws("start", "--set", f"InputDataUri=s3://{BUCKET}/nothing/")
    assert f"InputDataUri: s3://{BUCKET}/nothing/: there is no object; upload it there" in done.stderr
    assert sagemaker.list_pipeline_executions(PipelineName=deployed)["PipelineExecutionSummaries"] == before
    done = aws("start", "--set", f"InputDataUri=s3://{BUCKET}/good/")
    assert done.returncode == 0, done.stderr


def test_executions_are_listed(deployed: str, aws) -> None:
    done = aws("list", "--json")
    assert done.returncode == 0, done.stderr
    assert all(entry["pipeline"] == deployed for entry in json.loads(done.stdout))


def test_an_execution_is_listed_with_the_name_that_it_was_given(deployed: str, aws) -> None:
    started = aws("start", "--name", "nightly-7", "--set", "MaxSteps=7", "--json")
    assert started.returncode == 0, started.stderr
    execution = json.loads(started.stdout)["id"]
    listed = next(entry for entry in json.loads(aws("list", "--json").stdout) if entry["id"] == execution)
    assert listed["name"] == "nightly-7"


def test_delete_asks_and_says_what_remains(deployed: str, aws, endpoint: str, settings) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/dpo"
    client(endpoint, "sagemaker").create_pipeline(PipelineName="short-lived", PipelineDefinition="{}", RoleArn=role)
    with edited(settings, "pipeline_name: dpo-quickstart", "pipeline_name: short-lived"):
        refused = aws("delete")
        assert refused.returncode == 1
        assert refused.stderr.endswith(f"python pipeline.py delete --settings {settings} --yes\n")
        done = aws("delete", "--yes", "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["remains"]["model_package_group"] == "dpo-quickstart"
        assert document["remains"]["data"] == f"s3://dpo-pipeline-{ACCOUNT}/dpo/"
        gone = aws("delete", "--yes")
    assert gone.returncode == 1 and "there is no such pipeline" in gone.stderr
    names = [entry["PipelineName"] for entry in client(endpoint, "sagemaker").list_pipelines()["PipelineSummaries"]]
    assert names == [deployed]


def test_models_are_listed_newest_first(deployed: str, aws, endpoint: str) -> None:
    sagemaker = client(endpoint, "sagemaker")
    for status in ("Approved", "Rejected"):
        sagemaker.create_model_package(ModelPackageGroupName=deployed, ModelApprovalStatus=status)
    found = json.loads(aws("models", "--json").stdout)
    assert [(entry["version"], entry["approval_status"]) for entry in found] == [(2, "Rejected"), (1, "Approved")]


def test_a_version_is_approved_then_served_then_taken_down(deployed: str, aws, endpoint: str) -> None:
    """moto knows only old instance types."""
    sagemaker, s3 = client(endpoint, "sagemaker"), client(endpoint, "s3")
    bucket = f"dpo-pipeline-{ACCOUNT}"
    source = {"S3Uri": f"s3://{bucket}/run/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    specification = {
        "Containers": [{"Image": "image", "ModelDataSource": {"S3DataSource": source}}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.g4dn.xlarge"],
    }
    files = {"config.json": hashlib.sha256(b"{}").hexdigest()}
    manifest = json.dumps({"files": files, "sizes": {"config.json": 2}}).encode()
    sagemaker.create_model_package_group(ModelPackageGroupName="served")
    sagemaker.create_model_package(
        ModelPackageGroupName="served",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification=specification,
        CustomerMetadataProperties={"variant": "merged", "manifest_sha256": hashlib.sha256(manifest).hexdigest()},
    )
    refused = aws("deploy", "1", "--group", "served")
    assert refused.returncode == 1 and "only an approved version is deployed" in refused.stderr
    gone = aws("approve", "1", "--group", "served")
    assert gone.returncode == 1 and "its model is gone" in gone.stderr
    for name, content in (("config.json", b"{}"), ("manifest.json", manifest)):
        s3.put_object(Bucket=bucket, Key=f"run/model/{name}", Body=content)
    approved = aws("approve", "latest", "--group", "served", "--note", "good")
    assert approved.returncode == 0, approved.stderr
    assert "PendingManualApproval -> Approved; the champion is version 1" in approved.stdout
    sagemaker.create_model_package(
        ModelPackageGroupName="served", ModelApprovalStatus="Approved", InferenceSpecification=specification
    )
    unknown = aws("deploy", "2", "--group", "served", "--name", "other", "--instance-type", "ml.g4dn.xlarge")
    assert unknown.returncode == 1 and "registered without a hash of its files" in unknown.stderr
    assert unknown.stderr.rstrip().endswith("--name other --instance-type ml.g4dn.xlarge --unverified")
    aws("reject", "2", "--group", "served")
    s3.put_object(Bucket=bucket, Key="run/model/config.json", Body=b"[]")  # of the same size
    swapped = aws("deploy", "approved", "--group", "served")
    assert swapped.returncode == 1, swapped.stdout
    assert f"in s3://{bucket}/run/model/ config.json has another content than the registered one" in swapped.stderr
    assert sagemaker.list_models()["Models"] == []
    s3.put_object(Bucket=bucket, Key="run/model/config.json", Body=b"{}")
    served = aws("deploy", "approved", "--group", "served", "--wait", "--json")
    assert served.returncode == 0, served.stderr
    assert json.loads(served.stdout)["outcome"] == "created" and "endpoint served InService" in served.stderr
    assert sagemaker.describe_endpoint(EndpointName="served")["EndpointConfigName"] == "served-v1-g4dn-xlarge"
    down = aws("undeploy", "served")
    assert down.stdout == "deleted served\ndeleted served-v1-g4dn-xlarge\ndeleted served-v1\n", down.stderr
    assert sagemaker.list_endpoints()["Endpoints"] == []


def test_credentials_of_another_account_are_refused_before_anything_is_touched(aws, settings) -> None:
    account = settings.parent / "account.yaml"
    text = account.read_text()
    try:
        account.write_text(text.replace(f'account_id: "{ACCOUNT}"', 'account_id: "999999999999"'))
        done = aws("upsert")
    finally:
        account.write_text(text)
    assert done.returncode == 1
    assert "the settings name account 999999999999" in done.stderr


def test_a_pipeline_that_is_not_there_says_how_to_create_it(aws, settings) -> None:
    text = settings.read_text()
    try:
        settings.write_text(text.replace("pipeline_name: dpo-quickstart", "pipeline_name: absent"))
        done = aws("start")
    finally:
        settings.write_text(text)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].endswith(f"create it: python pipeline.py upsert --settings {settings}")
