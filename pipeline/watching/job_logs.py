"""The log that a step's job leaves in CloudWatch: what is there so far, and following it.

Is handed its client. Limits: CloudWatch shows a line some seconds after it was printed, so a follower asks once more
when the job has ended; lines of several nodes come in the order of their times within one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.aws.client import patiently, pause
from pipeline.aws.errors import is_missing
from pipeline.aws.executions import StepSummary
from pipeline.errors import UserError

GROUPS = {"Training": "/aws/sagemaker/TrainingJobs", "Processing": "/aws/sagemaker/ProcessingJobs"}
STREAMS_LIMIT = 100  # streams that one FilterLogEvents call takes
POLL_SECONDS = 5
# A node's lines can become visible later than another node's newer ones; so far back is asked again.
OVERLAP_MILLISECONDS = 60_000
RUNNING = ("Starting", "Executing", "Stopping")


@dataclass(frozen=True)
class LogLine:
    """One line of a job's log; the stream tells the node."""

    time: datetime
    stream: str
    message: str

    @property
    def node(self) -> str:
        """`algo-2` of the stream `pipelines-…-Train-…/algo-2-1700000000`."""
        return "-".join(self.stream.rpartition("/")[2].split("-")[:2])


@dataclass
class Tail:
    """A job's log as far as it has been read. An answer that was cut off by an error is read again."""

    client: Any
    group: str
    job_name: str
    newest: int | None = None  # milliseconds
    seen: dict[str, int] = field(default_factory=dict)  # the events within the overlap: id -> milliseconds

    def new(self) -> list[LogLine]:
        """The lines since the last time, oldest first."""
        since = None if self.newest is None else max(self.newest - OVERLAP_MILLISECONDS, 0)
        events = [event for event in self._events(since) if event["eventId"] not in self.seen]
        events.sort(key=lambda event: event["timestamp"])
        if events:
            self.newest = max(self.newest or 0, events[-1]["timestamp"])
            known = self.seen | {event["eventId"]: event["timestamp"] for event in events}
            oldest = self.newest - OVERLAP_MILLISECONDS
            self.seen = {identity: moment for identity, moment in known.items() if moment >= oldest}
        return [_line(event) for event in events]

    def _events(self, since: int | None) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"logGroupName": self.group}
        if since is not None:
            request["startTime"] = since
        streams = self._streams()
        for first in range(0, len(streams), STREAMS_LIMIT):
            request["logStreamNames"] = streams[first : first + STREAMS_LIMIT]
            for page in self.client.get_paginator("filter_log_events").paginate(**request):
                yield from page["events"]

    def _streams(self) -> list[str]:
        from botocore.exceptions import ClientError

        pages = self.client.get_paginator("describe_log_streams").paginate(
            logGroupName=self.group,
            logStreamNamePrefix=f"{self.job_name}/",  # without the "/", job-1 would also give job-10's log
        )
        try:
            return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except ClientError as error:
            if is_missing(error):  # the account has never run such a job: the group comes with the first one
                return []
            raise


def tail(logs_client: Any, step: StepSummary) -> Tail | None:
    """The log of a step's job; None before the job exists. A cached step's is that of the job that once ran for it.

    Raises:
        UserError: steps of this type run no job.
    """
    if step.type and step.type not in GROUPS:
        raise UserError(f"step {step.name}: a {step.type} step runs no job and has no log")
    return Tail(logs_client, GROUPS[step.type], step.job_name) if step.job_name else None


def read(logs_client: Any, step: StepSummary) -> list[LogLine]:
    """The lines that a step's job has logged so far, of all of its nodes."""
    log = tail(logs_client, step)
    return log.new() if log else []


def follow(
    logs_client: Any,
    look: Callable[[], StepSummary],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = pause,
) -> Iterator[LogLine]:
    """The lines of a step's job as they come, until the job has ended; outlasts a lost connection and throttling.

    Args:
        look: the step as it stands; a retried step gets another job, whose log is then followed.
    """
    log: Tail | None = None
    ended = False
    while True:
        step = patiently(look, say, sleep)
        found = tail(logs_client, step)
        if found and (log is None or found.job_name != log.job_name):
            log = found
        if log:
            yield from patiently(log.new, say, sleep)
        if ended:
            return
        ended = step.status not in RUNNING
        sleep(POLL_SECONDS)


def _line(event: dict[str, Any]) -> LogLine:
    moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return LogLine(moment, event["logStreamName"], event["message"].rstrip("\n"))
