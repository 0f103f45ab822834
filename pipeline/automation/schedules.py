"""Schedules of a pipeline on EventBridge Scheduler: put, list, remove. Every function is handed its client.

The SDK's triggers pass no parameters, dead-letter queue, retry policy or group, so the requests are written out here.
Limits: Scheduler gives an execution no display name. Lists also the one-time schedules that new data leads to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pipeline.automation.expressions import next_run
from pipeline.automation.start import full_name, parameters_of, prefix, start_target
from pipeline.aws.errors import described
from pipeline.errors import UserError
from pipeline.settings.account import Automation

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}")


@dataclass(frozen=True)
class Schedule:
    """One schedule of a pipeline; `next_run` where the expression tells it."""

    name: str
    expression: str
    timezone: str
    state: str
    parameters: dict[str, str]
    next_run: datetime | None


def request(
    pipeline: str,
    name: str,
    expression: str,
    timezone: str,
    flexible_minutes: int,
    pipeline_arn: str,
    parameters: Mapping[str, str],
    automation: Automation,
) -> dict[str, Any]:
    """What CreateSchedule and UpdateSchedule get.

    Args:
        flexible_minutes: it starts somewhen within these minutes; 0 starts it on the minute.

    Raises:
        UserError: a name or a window that AWS refuses.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: must be 1 to 20 letters, digits, - or _")
    if not 0 <= flexible_minutes <= 1440:
        raise UserError(f"--flexible-minutes {flexible_minutes}: must be 0 to 1440")
    window: dict[str, Any] = {"Mode": "OFF"}
    if flexible_minutes:
        window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": flexible_minutes}
    return {
        "Name": f"{prefix(pipeline)}{name}",
        "GroupName": automation.schedule_group,
        "Description": f"Start the pipeline {pipeline}",
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": timezone,
        "FlexibleTimeWindow": window,
        "State": "ENABLED",
        "Target": start_target(pipeline_arn, parameters, automation),
    }


def put(scheduler: Any, wanted: Mapping[str, Any]) -> Literal["created", "updated", "unchanged"]:
    """Create the schedule, or bring the one of that name to this request."""
    key = {"Name": wanted["Name"], "GroupName": wanted["GroupName"]}
    there = described(lambda: scheduler.get_schedule(**key))
    if there is None:
        scheduler.create_schedule(**wanted)
        return "created"
    if all(there.get(member) == value for member, value in wanted.items()):
        return "unchanged"
    scheduler.update_schedule(**wanted)
    return "updated"


def list_schedules(scheduler: Any, pipeline: str, group: str, now: datetime | None = None) -> list[Schedule]:
    """The schedules of a pipeline, by name; none where there is no such group yet."""
    found = []
    for name in names(scheduler, group, prefix(pipeline)):
        entry = scheduler.get_schedule(Name=name, GroupName=group)
        expression, timezone = entry["ScheduleExpression"], entry.get("ScheduleExpressionTimezone") or "UTC"
        enabled = entry["State"] == "ENABLED"
        found.append(
            Schedule(
                name.removeprefix(prefix(pipeline)),
                expression,
                timezone,
                entry["State"],
                parameters_of(entry["Target"]),
                next_run(expression, timezone, now or datetime.now(UTC)) if enabled else None,
            )
        )
    return found


def remove(scheduler: Any, pipeline: str, group: str, name: str, options: str) -> None:
    """Delete one schedule of a pipeline, named as `schedules` lists it.

    Raises:
        UserError: there is none of that name.
    """
    known = names(scheduler, group, prefix(pipeline))
    scheduler.delete_schedule(Name=full_name("schedule", pipeline, name, known, options), GroupName=group)


def names(scheduler: Any, group: str, start: str = "") -> list[str]:
    """The names in a group that start so; none where there is no such group."""
    more = {"NamePrefix": start} if start else {}
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group, **more)
    found = described(lambda: [entry["Name"] for page in pages for entry in page["Schedules"]]) or []
    return sorted(name for name in found if name.startswith(start))
