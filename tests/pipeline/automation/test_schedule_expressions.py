"""Scheduler's expressions: what is refused says what to write, and the next time is the one that AWS would take."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.automation import expressions
from pipeline.errors import UserError

NOW = datetime(2026, 1, 14, 12, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 6 * * 1", "has 5 fields, must have 6: minutes hours day-of-month month day-of-week year; a crontab's five "
         "are written so: '0 6 ? * 2 *'"),
        ("30 2 1 * *", "a crontab's five are written so: '30 2 1 * ? *'"),
        ("0 6", "has 2 fields"),
        ("0 24 ? * MON *", "hours: 24: must be 0 to 23, *"),
        ("0 6 ? * MOON *", "day of week: MOON: must be 1 to 7 or SUN to SAT, *, or ?, L, #"),
        ("0 6 ? FEBR MON *", "month: FEBR: must be 1 to 12 or JAN to DEC, *"),
        ("0 6 32W * ? *", "day of month: 32: must be 1 to 31, *, or ?, L, W"),
        ("0 6 ? * MON#6 *", "day of week: MON#6: after # must stand 1 to 5"),
        ("0/x 6 ? * MON *", "minutes: 0/X: after / must stand a whole number of at least 1"),
        ("0 18-6 ? * MON *", "hours: 18-6: must go upwards"),
        ("0 6 * * * *", "exactly one of day of month and day of week must be ?"),
        ("0 6 ? * ? *", "exactly one of day of month and day of week must be ?"),
    ],
)  # fmt: skip
def test_a_wrong_cron_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        expressions.cron(text)
    assert str(caught.value).startswith(f"--cron {text!r}: ") and message in str(caught.value)


@pytest.mark.parametrize("text", ["7", "0 days", "x days", "7 weeks", "7.5 hours", "-1 days", "²  days"])
def test_a_wrong_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        UserError, match="must be a whole number of at least 1 and minutes, hours or days, such as '7 day"
    ):
        expressions.rate(text)


def test_rates_and_crons_are_written_as_scheduler_takes_them() -> None:
    rates = ("7 days", "1 days", "1 hour", "rate(15 Minutes)")
    assert [expressions.rate(text) for text in rates] == [
        "rate(7 days)",
        "rate(1 day)",
        "rate(1 hour)",
        "rate(15 minutes)",
    ]
    assert expressions.cron(" cron(0  6 ? * mon *) ") == expressions.cron("0 6 ? * MON *") == "cron(0 6 ? * MON *)"


def test_an_unknown_time_zone_is_refused() -> None:
    assert str(expressions.zone("Europe/Berlin")) == "Europe/Berlin"
    for name in ("Europe/Berlyn", "../etc/passwd", ""):
        with pytest.raises(UserError, match="there is no such time zone"):
            expressions.zone(name)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("0 6 ? * MON *", "UTC", "2026-01-19T06:00"),
        ("0 6 ? * MON *", "Asia/Tokyo", "2026-01-18T21:00"),
        ("0/20 12-13 ? * * *", "UTC", "2026-01-14T12:20"),
        ("0 6 1,15 * ? *", "UTC", "2026-01-15T06:00"),
        ("0 6 L * ? *", "UTC", "2026-01-31T06:00"),
        ("0 6 ? * FRI#3 *", "UTC", "2026-01-16T06:00"),
        ("0 6 ? * TUEL *", "UTC", "2026-01-27T06:00"),
        ("0 6 ? * L *", "UTC", "2026-01-17T06:00"),
        ("0 6 31W JAN ? *", "UTC", "2026-01-30T06:00"),  # the 31st is a Saturday
        ("0 6 1W FEB ? *", "UTC", "2026-02-02T06:00"),  # the 1st is a Sunday
        ("0 6 1W AUG ? *", "UTC", "2026-08-03T06:00"),  # a Saturday, and the weekday before is another month's
        ("0 6 LW FEB ? *", "UTC", "2026-02-27T06:00"),
        ("0 6 ? JUL MON-FRI 2027", "UTC", "2027-07-01T06:00"),
    ],
)  # fmt: skip
def test_the_next_run_is_told_from_the_expression(text: str, zone: str, expected: str) -> None:
    found = expressions.next_run(expressions.cron(text), zone, NOW)
    assert found.astimezone(UTC) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        # Clocks jump from 02:00 to 03:00 on 29 March 2026: Scheduler leaves the day out.
        ("30 2 * * ? *", "2026-03-28T12:00", "2026-03-30T00:30"),
        ("30 2 29 3 ? 2026", "2026-03-28T12:00", None),
        ("30 1,2,3 * * ? *", "2026-03-29T00:30", "2026-03-29T01:30"),  # 01:30 is over, 02:30 is none, 03:30 is next
        # They go back from 03:00 to 02:00 on 25 October 2026: it starts once, the first time.
        ("30 2 * * ? *", "2026-10-24T12:00", "2026-10-25T00:30"),
        ("30 2 * * ? *", "2026-10-25T00:30", "2026-10-26T01:30"),
    ],
)
def test_a_time_that_the_clocks_skip_is_left_out_and_one_that_they_repeat_counts_once(
    text: str, now: str, expected: str | None
) -> None:
    """As the user guide of EventBridge Scheduler has it under daylight saving time."""
    found = expressions.next_run(expressions.cron(text), "Europe/Berlin", datetime.fromisoformat(f"{now}+00:00"))
    assert found == (expected and datetime.fromisoformat(f"{expected}+00:00"))


def test_what_has_no_known_next_run_has_none() -> None:
    assert expressions.next_run("rate(7 days)", "UTC", NOW) is None
    assert expressions.next_run("at(2026-01-14T11:00:00)", "UTC", NOW) is None
    assert expressions.next_run("cron(0 6 1 1 ? 2025)", "UTC", NOW) is None
    assert expressions.next_run("at(2026-01-14T13:30:00)", "UTC", NOW) == NOW.replace(hour=13, minute=30)
