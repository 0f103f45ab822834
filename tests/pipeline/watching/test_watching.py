"""Watching an execution: what is told, in which order, and what it outlasts. Jobs' answers with botocore's Stubber."""

import dataclasses
import io
import itertools
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import ANY, Stubber
from rich.console import Console

from pipeline.aws import executions
from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.watching import pace, view, watch
from pipeline.watching.job_logs import LogLine
from pipeline.watching.view import shown
from pipeline.watching.watch import JobReports, LastLines, Logged, Notice, Progress, State
from tests.pipeline.answers import ARN, NOON, STEPS, add_status

RUNS = StepSummary("Train", "Training", "Executing", NOON, job_name="job-1")
LINE = LogLine(NOON, "job-1/algo-1-17", "[metrics] step=12/150 loss=0.5123")

pytestmark = pytest.mark.usefixtures("aws")


def execution(status):
    return ExecutionSummary("abcdefghijkl", ARN, "dpo", status, NOON)


def nothing(step, tell):
    """The reports of a step that has nothing to say."""


def test_each_change_is_told_once_and_the_watch_ends_with_the_execution(sagemaker, stub):
    add_status(stub, "Executing", [])
    add_status(stub, "Executing", [])
    add_status(stub, "Executing", STEPS[:1])
    add_status(stub, "Succeeded", STEPS[:1])
    told, slept = [], []
    last = watch.wait(lambda: executions.status(sagemaker, ARN), told.append, nothing, 15, sleep=slept.append)
    assert [(state.execution.status, len(state.steps)) for state in told] == [
        ("Executing", 0),
        ("Executing", 1),
        ("Succeeded", 1),
    ]
    assert slept == [15, 15, 15]
    assert last == told[-1].execution


def watched(*looks):
    """Names of the steps that were asked, in order, with "|" where the state was told; and the pauses."""
    heard, slept, answers = [], [], iter(looks)

    def look():
        status, *steps = next(answers)
        return execution(status), steps

    def tell(event):
        heard.append("|" if isinstance(event, State) else event.text)

    watch.wait(look, tell, lambda step, tell: tell(Notice(step.name)), 15, 5, slept.append)
    return "".join(heard), slept


def test_a_job_is_asked_while_it_runs_and_for_its_last_lines_before_its_end_is_told():
    done = StepSummary("T", "Training", "Succeeded", NOON, NOON, job_name="job-1")
    runs = StepSummary("T", "Training", "Executing", NOON, job_name="job-1")
    cached = StepSummary("P", "Processing", "Succeeded", cached=True, job_name="job-0")
    looks = ("Executing", cached, runs), ("Executing", cached, runs), ("Succeeded", cached, done)
    assert watched(*looks) == ("|TTT|", [15, 15, 5])  # the last lines of a job become visible late


def test_a_job_that_ended_is_asked_once_more_while_the_next_one_runs():
    first = [StepSummary("A", "Training", status, NOON, job_name="a") for status in ("Executing", "Succeeded")]
    second = StepSummary("B", "Processing", "Executing", NOON, job_name="b")
    looks = ("Executing", first[0]), ("Executing", first[1], second), ("Executing", first[1], second)
    end = ("Stopped", first[1], StepSummary("B", "Processing", "Stopped", NOON, job_name="b"))
    assert watched(*looks, end)[0] == "|AA|BABB|"


def test_a_lost_connection_is_outlasted_and_said_once():
    looks = iter([EndpointConnectionError(endpoint_url="https://x")] * 2 + [(execution("Succeeded"), [])])
    told, slept = [], []

    def look():
        answer = next(looks)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch.wait(look, told.append, nothing, sleep=slept.append)
    assert [type(event) for event in told] == [Notice, State]
    assert slept == [5, 10]


@pytest.fixture
def clients(client):
    stubs = [Stubber(one) for one in (client, boto3.client("logs"), boto3.client("cloudwatch"))]
    for stubber in stubs:
        stubber.activate()
    yield stubs
    for stubber in stubs:
        stubber.assert_no_pending_responses()
        stubber.deactivate()


def training(status="InProgress", phase="Training", final=()):
    """DescribeTrainingJob's answer, as far as it is read, and valid."""
    return {
        "TrainingJobName": "job-1",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"},
        "TrainingJobStatus": status,
        "SecondaryStatus": phase,
        "AlgorithmSpecification": {
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "train:step", "Regex": "x"}, {"Name": "train:loss", "Regex": "x"}],
        },
        "ResourceConfig": {"VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": NOON,
        "FinalMetricDataList": [{"MetricName": name, "Value": value, "Timestamp": NOON} for name, value in final],
    }


def add_metrics(cloudwatch, **values):
    results = [
        {"Id": key, "Values": [value, 99.0], "Timestamps": [NOON, NOON - timedelta(minutes=1)]}
        for key, value in values.items()
    ]
    request = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": "TimestampDescending"}
    cloudwatch.add_response("get_metric_data", {"MetricDataResults": results}, request)


def add_lines(logs, *events):
    streams = {"logStreams": [{"logStreamName": "job-1/algo-1-17"}]}
    logs.add_response("describe_log_streams", streams)
    entries = [
        {"logStreamName": "job-1/algo-1-17", "timestamp": moment, "message": text, "eventId": text}
        for moment, text in events
    ]
    logs.add_response("filter_log_events", {"events": entries})


def reports(clients, **more):
    """With a clock that goes on by two minutes at every look."""
    minutes = itertools.count(0, 120)
    return JobReports(*(stubber.client for stubber in clients), **{"clock": lambda: next(minutes), **more})


def test_a_training_job_tells_its_phase_its_newest_metrics_and_its_new_lines(clients):
    sagemaker, logs, cloudwatch = clients
    report, told = reports(clients), []
    for _ in range(2):
        sagemaker.add_response("describe_training_job", training(), {"TrainingJobName": "job-1"})
        add_metrics(cloudwatch, m0=12.0, m1=0.5)
        add_lines(logs, (int(NOON.timestamp() * 1000), LINE.message))
        report(RUNS, told.append)
    progress = Progress("Train", "Training", {"train:step": 12.0, "train:loss": 0.5})
    assert told == [progress, Logged("Train", LINE)]


def test_a_phase_that_the_log_tells_is_progress_and_no_line_and_gives_way_to_the_services_own(clients):
    sagemaker, logs, cloudwatch = clients
    report, told = reports(clients), []
    moment = int(NOON.timestamp() * 1000)
    lines = [(moment, "[phase] loading the model"), (moment + 1, LINE.message), (moment + 2, "[phase] steps 12/150")]
    for status, phase, new in (("InProgress", "Training", lines), ("Completed", "Completed", [])):
        sagemaker.add_response("describe_training_job", training(status, phase, [("train:loss", 0.5)]))
        if status == "InProgress":
            add_metrics(cloudwatch, m0=12.0, m1=0.5)
        add_lines(logs, *new)
        report(RUNS, told.append)
    metrics = {"train:step": 12.0, "train:loss": 0.5}
    assert [event for event in told if isinstance(event, Logged)] == [
        Logged("Train", dataclasses.replace(LINE, time=NOON + timedelta(milliseconds=1)))
    ]
    assert [event for event in told if isinstance(event, Progress)] == [
        Progress("Train", "Training", metrics),
        Progress("Train", "steps", metrics, 12, 150),
        Progress("Train", "Completed", {"train:loss": 0.5}),
    ]


def test_a_processing_job_tells_its_phase_too(clients):
    told = []
    add_lines(clients[1], (int(NOON.timestamp() * 1000), "[phase] merging MB 120/2200"))
    reports(clients)(StepSummary("Merge", "Processing", "Executing", job_name="job-1"), told.append)
    assert told == [Progress("Merge", "merging MB", {}, 120, 2200)]


def test_an_ended_job_has_its_final_metrics_and_cloudwatch_is_not_asked(clients):
    answer = training("Completed", "Completed", [("train:loss", 0.25)])
    clients[0].add_response("describe_training_job", answer, {"TrainingJobName": "job-1"})
    add_lines(clients[1])
    told = []
    reports(clients)(RUNS, told.append)
    assert told == [Progress("Train", "Completed", {"train:loss": 0.25})]


def test_cloudwatch_is_asked_once_a_minute_and_for_the_shown_metrics_alone(clients):
    sagemaker, logs, cloudwatch = clients
    answer = training()
    answer["AlgorithmSpecification"]["MetricDefinitions"].append({"Name": "train:mfu", "Regex": "x"})
    times = iter([0, 0, 59, 60, 60])
    report, told, asked = reports(clients, clock=lambda: next(times)), [], []
    cloudwatch.client.meta.events.register(
        "provide-client-params.cloudwatch.GetMetricData", lambda params, **_: asked.append(params), unique_id="asked"
    )
    for index in range(3):
        sagemaker.add_response("describe_training_job", answer)
        add_lines(logs)
        if index != 1:
            add_metrics(cloudwatch, m0=1.0 + index)
        report(RUNS, told.append)
    names = [query["MetricStat"]["Metric"]["MetricName"] for query in asked[0]["MetricDataQueries"]]
    assert (len(asked), names) == (2, ["train:step", "train:loss"])
    assert [event.metrics["train:step"] for event in told] == [1.0, 3.0]


def test_a_log_that_may_not_be_read_is_said_once_and_the_rest_goes_on(clients):
    sagemaker, logs, cloudwatch = clients
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/Developer/jane is not authorized to perform: "
        "logs:DescribeLogStreams on resource: arn:aws:logs:us-east-1:123456789012:log-group:x because no policy allows"
    )
    logs.add_client_error("describe_log_streams", "AccessDeniedException", message, 400)
    report, told = reports(clients), []
    for value in (1.0, 2.0):
        sagemaker.add_response("describe_training_job", training())
        add_metrics(cloudwatch, m0=value)
        report(RUNS, told.append)
    assert [type(event) for event in told] == [Progress, Notice, Progress]
    assert told[1].text == (
        "logs are not shown: the role Developer (account 123456789012) may not do logs:DescribeLogStreams on "
        "arn:aws:logs:us-east-1:123456789012:log-group:x; add to one of its policies: "
        '{"Effect": "Allow", "Action": "logs:DescribeLogStreams", '
        '"Resource": "arn:aws:logs:us-east-1:123456789012:log-group:x"}'
    )


def test_throttling_between_two_calls_loses_no_line(clients):
    logs = clients[1]
    logs.add_client_error("describe_log_streams", "ThrottlingException", "Rate exceeded", 400)
    add_lines(logs, (1, "one"))
    told, slept = [], []
    reports(clients, sleep=slept.append)(StepSummary("Gate", "Processing", "Executing", job_name="job-1"), told.append)
    assert [type(event) for event in told] == [Notice, Logged] and slept == [5]


def test_a_refusal_for_another_reason_ends_the_watch(clients):
    clients[1].add_client_error("describe_log_streams", "ExpiredTokenException", "expired", 400)
    with pytest.raises(ClientError):
        reports(clients)(StepSummary("Gate", "Processing", "Executing", job_name="job-1"), print)


EVENTS = [
    State(execution("Executing"), [RUNS]),
    Progress("Train", "Training", {"train:step": 12, "train:max_steps": 150, "train:loss": 0.5}),
    Logged("Train", LINE),
    Notice("AWS does not answer"),
    State(execution("Failed"), [StepSummary("Train", "Training", "Failed", NOON, NOON, "CapacityError: none")]),
]


def test_without_a_terminal_every_event_is_a_line(capsys):
    with shown(Console(stderr=True)) as tell:
        for event in EVENTS:
            tell(event)
    assert capsys.readouterr().err.splitlines() == [
        "Train: Executing",
        "execution abcdefghijkl: Executing",
        "Train: Training; step 12/150, loss 0.500",
        "Train algo-1 | [metrics] step=12/150 loss=0.5123",
        "AWS does not answer",
        "Train failed: CapacityError: none → AWS has no such instance free now; take another type "
        "(--set TrainInstanceType=…) or region, or wait",
        "execution abcdefghijkl: Failed",
    ]


def test_on_a_terminal_the_steps_are_a_table_under_the_log():
    console = Console(force_terminal=True, width=100, record=True, file=io.StringIO())
    with shown(console) as tell:
        for event in EVENTS[:4]:
            tell(event)
    text = console.export_text()
    assert "Train algo-1 | [metrics] step=12/150" in text
    assert "dpo · execution abcdefghijkl · Executing" in text
    assert "Training; step 12/150, loss 0.500" in text


def test_lines_leave_out_what_is_not_reached_and_are_sparing_with_metrics(capsys):
    steps = [StepSummary("Preprocess", "Processing", "Succeeded", NOON, NOON, cached=True, job_name="job-0")]
    later = [StepSummary(name, "Processing", status) for name, status in (("Gate", "Pending"), ("Merge", "Skipped"))]
    ended = StepSummary("Train", "Training", "Failed", NOON, NOON, "exit code 1: boom")
    with shown(Console(stderr=True)) as tell:
        tell(State(execution("Executing"), [*steps, RUNS, *later]))
        for number in (1.0, 2.0, 3.0):
            tell(Progress("Train", "", {"train:step": number}))
        tell(State(execution("Executing"), [*steps, ended, *later]))
        tell(LastLines("Train", "/state/log.txt", ["Traceback", "boom"]))
    assert capsys.readouterr().err.splitlines() == [
        "Preprocess: Succeeded, cached",
        "Train: Executing",
        "execution abcdefghijkl: Executing",
        "Train: step 1",
        "Train failed: exit code 1: boom",
        "The last lines of /state/log.txt:",
        "  Traceback",
        "  boom",
    ]


def test_lines_tell_the_reason_of_a_failure_once(capsys):
    ended = StepSummary("Preprocess", "Processing", "Failed", NOON, NOON, "d.csv: 3 rows\nFix them")
    failed = dataclasses.replace(execution("Failed"), failure_reason="Step Preprocess failed: d.csv: 3 rows\nFix them")
    with shown(Console(stderr=True)) as tell:
        tell(State(failed, [ended]))
    assert capsys.readouterr().err.splitlines() == [
        "Preprocess failed: d.csv: 3 rows",
        "Fix them",
        "execution abcdefghijkl: Failed: Step Preprocess failed",
    ]


def test_lines_tell_a_phase_how_far_it_is_and_how_long_it_takes_yet(capsys, monkeypatch):
    monkeypatch.setattr(view, "LINE_SECONDS", 0.0)
    now = [0.0]
    monkeypatch.setattr(view, "Pace", lambda: pace.Pace(lambda: now[0]))
    metrics = {"train:step": 5.0, "train:max_steps": 150.0, "train:loss": 0.5}
    with shown(Console(stderr=True)) as tell:
        tell(State(execution("Executing"), [RUNS]))
        tell(Progress("Train", "loading the model", {}))
        for now[0], done in ((0.0, 0), (30.0, 10), (60.0, 20)):
            tell(Progress("Train", "steps", metrics, done, 150))
        tell(Progress("Train", "evaluation", metrics, 0, 1200))
    assert capsys.readouterr().err.splitlines()[2:] == [
        "Train: loading the model",
        "Train: steps 0/150; loss 0.500",
        "Train: steps 10/150, about 7:00 left; loss 0.500",
        "Train: steps 20/150, about 6:30 left; loss 0.500",
        "Train: evaluation 0/1,200; step 5/150, loss 0.500",
    ]


def test_lines_tell_a_held_out_figure_once(capsys, monkeypatch):
    monkeypatch.setattr(view, "LINE_SECONDS", 0.0)
    with shown(Console(stderr=True)) as tell:
        tell(State(execution("Executing"), [RUNS]))
        for step, held_out in ((0, 0.693), (10, 0.693), (20, 0.5)):
            tell(Progress("Train", "", {"train:step": step, "train:loss": 0.25, "eval:loss": held_out}))
    assert [line for line in capsys.readouterr().err.splitlines() if "step" in line] == [
        "Train: step 0, loss 0.250, held-out loss 0.693",
        "Train: step 10, loss 0.250",
        "Train: step 20, loss 0.250, held-out loss 0.500",
    ]


def test_on_a_terminal_a_training_has_a_bar_and_what_comes_later_is_seen_already():
    console = Console(force_terminal=True, width=100, record=True, file=io.StringIO())
    with shown(console) as tell:
        tell(State(execution("Executing"), [RUNS, StepSummary("Gate", "Processing", "Pending")]))
        tell(Progress("Train", "", {"train:step": 75, "train:max_steps": 150}))
    train, gate = console.export_text().splitlines()[-2:]
    assert train.startswith("▸  Train") and "━━━━━━━━━━" in train and "step 75/150" in train
    assert gate.rstrip() == "·  Gate"


def test_on_a_terminal_the_bar_is_that_of_the_phase():
    console = Console(force_terminal=True, width=100, record=True, file=io.StringIO())
    with shown(console) as tell:
        tell(State(execution("Executing"), [RUNS]))
        tell(Progress("Train", "steps", {"train:step": 10, "train:max_steps": 150}, 12, 150))
        tell(Progress("Train", "answers", {"train:step": 150, "train:max_steps": 150}, 16, 32))
    (train,) = console.export_text().splitlines()[-1:]
    assert "━━━━━━━━━━" in train and "answers 16/32; step 150/150" in train


def test_on_a_terminal_a_held_out_figure_gives_way_to_the_next_step_and_is_there_at_the_end():
    console = Console(force_terminal=True, width=120, record=True, file=io.StringIO())
    table = view._LiveTable(console)
    told = []
    for step, held_out in ((0, 0.693), (10, 0.693), (20, 0.5)):
        table.tell(State(execution("Executing"), [RUNS]))
        table.tell(Progress("Train", "", {"train:step": step, "train:loss": 0.25, "eval:loss": held_out}))
        console.print(table.render())
        told.append(console.export_text().splitlines()[-1])
    table.tell(State(execution("Executing"), [dataclasses.replace(RUNS, status="Succeeded")]))
    console.print(table.render())
    told.append(console.export_text().splitlines()[-1])
    shown_figures = [line.partition("held-out loss ")[2].strip() for line in told]
    assert shown_figures == ["0.693", "", "0.500", "0.500"]
