"""A job's log: what is there, and following it, against moto; lost connections with botocore's Stubber."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from pipeline.aws.executions import StepSummary
from pipeline.errors import UserError
from pipeline.watching import job_logs
from pipeline.watching.job_logs import LogLine

GROUP = "/aws/sagemaker/TrainingJobs"
RUNS = StepSummary("Train", "Training", "Executing", job_name="job-1")
DONE = StepSummary("Train", "Training", "Succeeded", job_name="job-1")
NOW = datetime.now(UTC).replace(microsecond=0)

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def logs():
    client = boto3.client("logs")
    client.create_log_group(logGroupName=GROUP)
    yield client
    client.delete_log_group(logGroupName=GROUP)


def put(logs, stream, *messages, after=0):
    """Log messages a millisecond apart, beginning so many milliseconds after NOW."""
    if not logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    begun = int(NOW.timestamp() * 1000) + after
    events = [{"timestamp": begun + index, "message": f"{text}\n"} for index, text in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def refused(code, message):
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribePipelineExecution")


def test_the_lines_are_those_of_the_job_and_not_of_its_namesakes(logs):
    for index, stream in enumerate(["job-1/algo-2-1700000000", "job-1/algo-1-1700000000", "job-10/algo-1-1700000000"]):
        put(logs, stream, f"from {stream}", after=index)
    later = NOW + timedelta(milliseconds=1)
    lines = [
        LogLine(NOW, "job-1/algo-2-1700000000", "from job-1/algo-2-1700000000"),
        LogLine(later, "job-1/algo-1-1700000000", "from job-1/algo-1-1700000000"),
    ]
    assert job_logs.read(logs, DONE) == lines
    assert [line.node for line in lines] == ["algo-2", "algo-1"]


def test_a_group_that_no_job_has_made_yet_is_empty():
    assert job_logs.read(boto3.client("logs"), DONE) == []


def test_a_step_without_a_job_has_no_log():
    assert job_logs.read(None, StepSummary("Train", "", "Starting")) == []
    with pytest.raises(UserError, match="step CheckGate: a Condition step runs no job and has no log"):
        job_logs.read(None, StepSummary("CheckGate", "Condition", "Succeeded"))


def test_a_tail_tells_each_line_once_also_one_that_becomes_visible_late(logs):
    put(logs, "job-1/algo-1", "one", "two", after=1000)
    tail = job_logs.tail(logs, RUNS)
    assert [line.message for line in tail.new()] == ["one", "two"]
    assert tail.new() == []
    put(logs, "job-1/algo-2", "late")
    put(logs, "job-1/algo-1", "three", after=2000)
    assert [line.message for line in tail.new()] == ["late", "three"]
    put(logs, "job-1/algo-1", "much later", after=600_000)
    assert [line.message for line in tail.new()] == ["much later"]
    assert list(tail.seen.values()) == [int(NOW.timestamp() * 1000) + 600_000]


def test_following_begins_before_the_job_does_and_ends_after_its_last_lines(logs):
    moments = [
        (StepSummary("Train", "", "Starting"), ()),
        (RUNS, ("one",)),
        (RUNS, ()),
        (DONE, ("two",)),
        (DONE, ("the last one, visible late",)),
    ]
    at = iter(range(len(moments)))

    def look():
        step, messages = moments[next(at)]
        if messages:
            put(logs, "job-1/algo-1", *messages, after=next(after))
        return step

    after = iter(range(0, 100, 10))
    slept, said = [], []
    lines = job_logs.follow(logs, look, said.append, slept.append)
    assert [line.message for line in lines] == ["one", "two", "the last one, visible late"]
    assert slept == [job_logs.POLL_SECONDS] * 4 and said == []


def test_following_outlasts_a_lost_connection_and_throttling(logs):
    put(logs, "job-1/algo-1", "one")
    troubles = iter(
        [
            ReadTimeoutError(endpoint_url="https://sagemaker"),
            refused("ThrottlingException", "Rate exceeded"),
            None,
        ]
    )

    def look():
        if trouble := next(troubles, None):
            raise trouble
        return DONE

    slept, said = [], []
    assert [line.message for line in job_logs.follow(logs, look, said.append, slept.append)] == ["one"]
    assert slept == [5, 10, job_logs.POLL_SECONDS]
    trouble = 'Read timeout on endpoint URL: "https://sagemaker"'
    assert said == [f"AWS does not answer ({trouble}); trying on, the execution is not affected"]


def test_following_ends_where_trying_again_cannot_help(logs):
    def look():
        raise refused("ExpiredTokenException", "expired")

    with pytest.raises(ClientError):
        list(job_logs.follow(logs, look, print, lambda seconds: pytest.fail("slept")))
