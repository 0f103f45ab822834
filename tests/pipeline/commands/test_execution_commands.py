"""start --wait, status, logs, stop, retry as a user meets them, in this process: SageMaker, CloudWatch and its logs are
botocore's Stubber, which holds requests and answers against the API model, since moto answers none of it."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from pipeline import cli
from pipeline.commands.shared import on_aws
from pipeline.definition.render import render
from pipeline.settings import workflow as settings
from tests.pipeline.answers import JOBS, NOON, STEPS, add_status

PIPELINE = f"{JOBS}:pipeline/dpo-quickstart"
ARN = f"{PIPELINE}/execution/abcdefghijkl"
TRAIN = STEPS[1]
RUNNING = {**{key: TRAIN[key] for key in ("StepName", "StartTime", "Metadata")}, "StepStatus": "Executing"}
DONE = {**RUNNING, "StepStatus": "Succeeded", "EndTime": NOON + timedelta(hours=1)}
STREAM = "pipelines-1-Train/algo-1-17"

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(scope="module")
def services(aws):
    return {name: boto3.client(name) for name in ("sagemaker", "logs", "cloudwatch", "sts")}


@pytest.fixture
def stubs(services, monkeypatch):
    """The services that the commands reach, each asked exactly for what a test has laid out; nobody really waits."""
    found = {name: Stubber(client) for name, client in services.items()}
    monkeypatch.setattr(on_aws, "client", lambda service, *_: services[service])
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for stubber in found.values():
        stubber.activate()
    yield found
    for stubber in found.values():
        stubber.deactivate()
        stubber.assert_no_pending_responses()


@pytest.fixture
def run(capsys, root):
    def call(*words):
        code = cli.main([*words, "--settings", str(root / "configs" / "quickstart.yaml")])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def definition():
    """What is deployed: the quickstart, as its settings say."""
    return render(settings.load(settings.DEFAULT_SETTINGS))


def identify(stubs):
    answer = {"Account": "111122223333", "UserId": "u", "Arn": "arn:aws:iam::111122223333:user/jane"}
    stubs["sts"].add_response("get_caller_identity", answer)


def add_pipeline(stubs, definition):
    answer = {"PipelineArn": PIPELINE, "PipelineDefinition": definition}
    stubs["sagemaker"].add_response("describe_pipeline", answer, {"PipelineName": "dpo-quickstart"})


def add_job(stubs, status, phase, metrics, *lines):
    """One look at the training job: its phase, metrics and log."""
    job = {
        "TrainingJobName": "pipelines-1-Train",
        "TrainingJobArn": f"{JOBS}:training-job/pipelines-1-Train",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"},
        "TrainingJobStatus": status,
        "SecondaryStatus": phase,
        "AlgorithmSpecification": {
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": "x"} for name in metrics],
        },
        "ResourceConfig": {"VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": NOON,
    }
    if status == "Completed":
        job["FinalMetricDataList"] = [{"MetricName": n, "Value": v, "Timestamp": NOON} for n, v in metrics.items()]
    stubs["sagemaker"].add_response("describe_training_job", job, {"TrainingJobName": "pipelines-1-Train"})
    if status != "Completed":
        results = [
            {"Id": f"m{index}", "Values": [value], "Timestamps": [NOON]} for index, value in enumerate(metrics.values())
        ]
        request = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": "TimestampDescending"}
        stubs["cloudwatch"].add_response("get_metric_data", {"MetricDataResults": results}, request)
    add_lines(stubs, *lines)


def add_lines(stubs, *lines):
    group = "/aws/sagemaker/TrainingJobs"
    request = {"logGroupName": group, "logStreamNamePrefix": "pipelines-1-Train/"}
    stubs["logs"].add_response("describe_log_streams", {"logStreams": [{"logStreamName": STREAM}]}, request)
    events = [
        {"logStreamName": STREAM, "timestamp": 1767355200000 + index, "message": line, "eventId": line}
        for index, line in enumerate(lines)
    ]
    stubs["logs"].add_response("filter_log_events", {"events": events})


def add_definition(stubs, definition):
    answer = {"PipelineDefinition": definition}
    stubs["sagemaker"].add_response("describe_pipeline_definition_for_execution", answer, {"PipelineExecutionArn": ARN})


def add_start(stubs, parameters=(), **more):
    request = {"PipelineName": "dpo-quickstart", "PipelineParameters": list(parameters), "ClientRequestToken": ANY}
    stubs["sagemaker"].add_response("start_pipeline_execution", {"PipelineExecutionArn": ARN}, request | more)


@pytest.fixture
def nothing_to_upload(monkeypatch):
    monkeypatch.setattr("pipeline.commands.start.upload", lambda there, assets: None)
    monkeypatch.setattr("pipeline.commands.start.require_inputs", lambda *what: None)  # S3: test_aws_commands.py


@pytest.mark.usefixtures("nothing_to_upload")
def test_start_with_wait_tells_states_metrics_and_log_lines_and_the_outcome(stubs, run, definition):
    identify(stubs)
    add_pipeline(stubs, definition)
    named = {"PipelineExecutionDisplayName": "nightly-7", "ClientRequestToken": "t" * 32}
    add_start(stubs, [{"Name": "Beta", "Value": "0.3"}], **named)
    sagemaker = stubs["sagemaker"]
    add_status(sagemaker, "Executing", [STEPS[0], RUNNING], arn=ARN)
    add_job(stubs, "InProgress", "Training", {"train:step": 12.0, "train:max_steps": 150.0, "train:loss": 0.5}, "one")
    add_status(sagemaker, "Succeeded", [STEPS[0], DONE], arn=ARN)
    add_job(stubs, "Completed", "Completed", {"train:step": 150.0, "train:loss": 0.25}, "one", "two")
    words = ("--set", "Beta=0.3", "--name", "nightly-7", "--token", "t" * 32)
    code, out, err = run("start", *words, "--wait")
    assert code == 0, err
    page, then = "as a page: python pipeline.py report", "abcdefghijkl --open\n"
    assert out.startswith(f"execution abcdefghijkl Succeeded\n{page}") and out.endswith(then)
    assert err.splitlines() == [
        "execution abcdefghijkl started",
        "Preprocess: Succeeded, cached",
        "Train: Executing",
        "execution abcdefghijkl: Executing",
        "Train: Training; step 12/150, loss 0.500",
        "Train algo-1 | one",
        "Train: Completed; step 150, loss 0.250",
        "Train algo-1 | two",
        "Train: Succeeded in 1:00:00; step 150, loss 0.250",
        "execution abcdefghijkl: Succeeded",
    ]


@pytest.mark.usefixtures("nothing_to_upload")
def test_a_failed_execution_ends_the_wait_with_1_the_fix_and_the_next_commands(stubs, run, definition):
    identify(stubs)
    add_pipeline(stubs, definition)
    add_start(stubs)
    reason = "ResourceLimitExceeded: The account-level service limit 'ml.g5.12xlarge for training job usage' is 0"
    for _ in ("watched", "asked which step failed"):
        add_status(stubs["sagemaker"], "Failed", [], reason=reason, arn=ARN)
    code, out, _ = run("start", "--wait")
    assert code == 1
    options = " --settings " + out.splitlines()[1].split("--settings ")[1].split()[0] if "--settings" in out else ""
    assert out.splitlines() == [
        f"execution abcdefghijkl Failed: {reason} → the account's quota is too small; ask for more in Service Quotas "
        "(SageMaker, by instance type and use)",
        f"as a page: python pipeline.py report{options} abcdefghijkl --open",
        f"See why: python pipeline.py logs{options} abcdefghijkl",
        f"Fix it and go on: python pipeline.py retry{options} abcdefghijkl",
    ]


@pytest.mark.usefixtures("nothing_to_upload")
def test_a_start_whose_answer_was_lost_can_be_repeated_without_a_second_execution(stubs, run, definition, monkeypatch):
    sent = []

    def lose(params, **_):
        sent.append(params["ClientRequestToken"])
        raise EndpointConnectionError(endpoint_url="https://sagemaker")

    events = stubs["sagemaker"].client.meta.events
    events.register("provide-client-params.sagemaker.StartPipelineExecution", lose, unique_id="lose")
    identify(stubs)
    add_pipeline(stubs, definition)
    try:
        code, _, err = run("start", "--set", "Beta=0.3")
    finally:
        events.unregister("provide-client-params.sagemaker.StartPipelineExecution", unique_id="lose")
    assert code == 1
    assert err.endswith(f"then: python pipeline.py start --set Beta=0.3 --token {sent[0]}\n")


@pytest.mark.usefixtures("nothing_to_upload")
def test_credentials_that_expire_during_the_wait_are_followed_by_the_command_that_watches_on(stubs, run, definition):
    identify(stubs)
    add_pipeline(stubs, definition)
    add_start(stubs)
    stubs["sagemaker"].add_client_error("describe_pipeline_execution", "ExpiredTokenException", "expired", 400)
    code, _, err = run("start", "--wait")
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith("error: AWS: the credentials have expired; renew them (`aws sso login`), then: ")
    assert last.endswith("python pipeline.py status abcdefghijkl --wait")  # and no second start


@pytest.mark.usefixtures("nothing_to_upload")
def test_an_interrupted_wait_says_that_the_execution_goes_on(stubs, run, definition, monkeypatch):
    identify(stubs)
    add_pipeline(stubs, definition)
    add_start(stubs)
    add_status(stubs["sagemaker"], "Executing", [], arn=ARN)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    code, _, err = run("start", "--wait")
    assert code == 130
    assert "execution abcdefghijkl goes on without being watched" in err
    assert "python pipeline.py stop abcdefghijkl" in err


def test_a_start_that_may_cost_too_much_is_refused_before_anything_is_sent(stubs, run, definition, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("ml.m5.xlarge: 1\nml.m5.large: 1\nml.t3.medium: 1\n")
    identify(stubs)
    add_pipeline(stubs, definition)
    code, _, err = run("start", "--max-cost", "10", "--prices", str(prices), "--set", "TrainInstanceCount=4")
    assert code == 1
    assert err.startswith("error: this run may cost up to $14.00, more than --max-cost 10; most of it is Merge: ")
    assert f"python pipeline.py start --set TrainInstanceCount=4 --max-cost 10 --prices {prices}" in err


@pytest.mark.usefixtures("nothing_to_upload")
def test_a_start_after_a_change_that_is_not_deployed_names_it_and_runs_the_old_one_only_when_told(
    stubs, run, definition
):
    older = json.loads(definition)
    beta = next(entry for entry in older["Parameters"] if entry["Name"] == "Beta")
    beta["DefaultValue"] += 1
    identify(stubs)
    add_pipeline(stubs, json.dumps(older))
    code, out, err = run("start", "--set", "MaxSteps=7")
    assert (code, out) == (1, "")
    assert err == (
        "error: pipeline dpo-quickstart: 1 change is not deployed (1 changed: parameter Beta); upsert first: "
        "python pipeline.py upsert; or run what is deployed: python pipeline.py start --set MaxSteps=7 --deployed\n"
    )
    identify(stubs)
    add_pipeline(stubs, json.dumps(older))
    add_start(stubs)
    code, _, err = run("start", "--deployed")
    assert (code, err) == (0, "execution abcdefghijkl started\n")


def test_status_with_wait_watches_on_and_shows_the_end(stubs, run):
    sagemaker = stubs["sagemaker"]
    sagemaker.add_response("describe_pipeline", {"PipelineArn": PIPELINE}, {"PipelineName": "dpo-quickstart"})
    for _ in range(2):
        add_status(sagemaker, "Stopped", [STEPS[0]], arn=ARN)
    code, out, _ = run("status", "abcdefghijkl", "--wait", "--json")
    assert code == 130
    document = json.loads(out)
    assert (document["status"], document["steps"][0]["cached"]) == ("Stopped", True)


def test_logs_of_a_step_as_text_and_as_json(stubs, run):
    for _ in range(2):
        add_status(stubs["sagemaker"], "Succeeded", [STEPS[0], DONE], arn=ARN)
        add_lines(stubs, "one", "two")
    code, out, _ = run("logs", ARN, "--step", "Train")
    assert (code, out.splitlines()[0]) == (0, "2026-01-02T12:00:00.000+00:00 algo-1 one")
    code, out, _ = run("logs", ARN, "--json")
    assert [line["message"] for line in json.loads(out)] == ["one", "two"]


def test_logs_follow_a_job_to_its_end(stubs, run):
    for step in (RUNNING, RUNNING, DONE):
        add_status(stubs["sagemaker"], "Executing", [step], arn=ARN)
    add_lines(stubs, "one")
    add_lines(stubs, "one", "two")
    add_status(stubs["sagemaker"], "Executing", [DONE], arn=ARN)
    add_lines(stubs, "one", "two", "three")
    code, out, _ = run("logs", ARN, "--follow", "--json")
    assert (code, [line["message"] for line in json.loads(out)]) == (0, ["one", "two", "three"])


def test_a_step_that_was_not_reached_is_named_with_those_that_were(stubs, run):
    add_status(stubs["sagemaker"], "Executing", STEPS[:2], arn=ARN)
    code, _, err = run("logs", ARN, "--step", "Merge")
    assert (code, err) == (1, "error: --step Merge: not among the steps reached: Preprocess, Train\n")


@pytest.mark.parametrize(("verb", "status"), [("stop", "Stopping"), ("retry", "Executing")])
def test_stop_and_retry_say_what_comes_next(stubs, run, verb, status):
    for _ in range(2):
        identify(stubs)
        answer = {"PipelineExecutionArn": ARN}
        if verb == "retry":
            add_status(stubs["sagemaker"], "Failed", arn=ARN)
        stubs["sagemaker"].add_response(f"{verb}_pipeline_execution", answer, {"PipelineExecutionArn": ARN})
    code, out, _ = run(verb, ARN)
    follows = {"stop": "retry abcdefghijkl\n", "retry": "status abcdefghijkl --wait\n"}
    assert code == 0 and out.endswith(follows[verb])
    assert json.loads(run(verb, ARN, "--json")[1]) == {"execution": "abcdefghijkl", "status": status}


def test_a_retry_of_what_succeeded_sends_nothing_and_says_so(stubs, run):
    for _ in range(2):
        identify(stubs)
        add_status(stubs["sagemaker"], "Succeeded", arn=ARN)
    code, _, err = run("retry", ARN)
    assert code == 0
    assert err.startswith("execution abcdefghijkl succeeded, and there is nothing to do; to run it all again: python ")
    assert json.loads(run("retry", ARN, "--json")[1]) == {"execution": "abcdefghijkl", "status": "Succeeded"}


@pytest.mark.parametrize(
    ("status", "rest"), [("Succeeded", "Skipped"), ("Failed", "Not reached"), ("Executing", "Pending")]
)
def test_status_tells_how_long_it_took_and_which_steps_were_not_reached(stubs, run, definition, status, rest):
    add_status(stubs["sagemaker"], status, [STEPS[0], DONE], arn=ARN)
    add_definition(stubs, definition)
    code, out, _ = run("status", ARN)
    title, _, *rows = [line.split() for line in out.splitlines()]
    assert code == 0 and " ".join(title[2:4]) == (f"{status} for" if status == "Executing" else f"{status} in")
    assert status == "Executing" or title[-1] == "1:00:00"
    found = {row[0]: row for row in rows}
    assert found["Preprocess"][2:4] == ["Succeeded,", "cached"] and found["Train"][-1] == "1:00:00"
    assert all(" ".join(found[name][2:]) == rest for name in ("Merge", "RejectModel", "RegisterAdapter"))


def test_status_of_a_failure_names_the_commands_that_come_next(stubs, run, definition):
    failed = {**DONE, "StepName": "Preprocess", "StepStatus": "Failed", "FailureReason": "AlgorithmError: no row left"}
    add_status(stubs["sagemaker"], "Failed", [failed], arn=ARN)
    add_definition(stubs, definition)
    code, out, _ = run("status", ARN)
    assert code == 0 and "Fix the data, then: python pipeline.py start" in out
    assert "logs" in out.splitlines()[-3] and "--set InputDataUri=DATA" in out.splitlines()[-2]


def test_describe_tells_values_defaults_then_and_today(stubs, run, definition):
    then = json.loads(definition)
    today = json.loads(definition)
    today["Parameters"] = [entry for entry in today["Parameters"] if entry["Name"] != "Seed"]
    beta = next(entry for entry in today["Parameters"] if entry["Name"] == "Beta")
    beta["DefaultValue"] = 0.5
    sagemaker = stubs["sagemaker"]
    for _ in range(2):
        add_status(sagemaker, "Succeeded", [], arn=ARN)
        given = [{"Name": "MaxSteps", "Value": "7"}]
        sagemaker.add_response("list_pipeline_parameters_for_execution", {"PipelineParameters": given})
        sagemaker.add_response("describe_pipeline_definition_for_execution", {"PipelineDefinition": json.dumps(then)})
        add_pipeline(stubs, json.dumps(today))
    _, out, _ = run("describe", ARN, "--json")
    uses = {use["name"]: use for use in json.loads(out)["parameters"]}
    assert {name for name, use in uses.items() if not use["was_default"]} == {"MaxSteps"}
    assert {name for name, use in uses.items() if use["differs"]} == {"MaxSteps", "Beta", "Seed"}
    assert (uses["Beta"]["default_today"], uses["Seed"]["default_today"]) == (0.5, None)
    code, out, _ = run("describe", ARN)
    old = uses["Beta"]["value"]
    assert code == 0
    assert out.splitlines()[-1] == f"the same again: python pipeline.py start --set Beta={old} --set MaxSteps=7"
