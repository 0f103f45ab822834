"""EventBridge Scheduler's expressions: cron(six fields), rate(value unit), at(time): judged here, before AWS is asked.

Also tells when a cron expression fires next. Limits: `rate` counts from the schedule's creation, so its next time is
not told.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipeline.errors import UserError, did_you_mean

MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
MONTHS = {name.upper(): number for name, number in MONTHS.items()}
DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
UNITS = ("minute", "hour", "day")
EXAMPLE = "0 6 ? * MON *"
HORIZON_DAYS = 366 * 5  # 29 February comes at least every eight years, and is left to AWS beyond this


@dataclass(frozen=True)
class Field:
    """One of cron's six fields: its bounds, the names for its numbers, and what else it takes."""

    name: str
    least: int
    most: int
    names: dict[str, int]
    special: str = ""


FIELDS = (
    Field("minutes", 0, 59, {}),
    Field("hours", 0, 23, {}),
    Field("day of month", 1, 31, {}, "?LW"),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 1, 7, DAYS, "?L#"),
    Field("year", 1970, 2199, {}),
)


def cron(text: str) -> str:
    """A cron expression as Scheduler takes it, from its six fields with or without `cron(…)` around them.

    Raises:
        UserError: it is none, with what to write instead.
    """
    fields = _unwrapped(text, "cron").upper().split()
    if len(fields) != len(FIELDS):
        names = " ".join(field.name.replace(" ", "-") for field in FIELDS)
        raise UserError(f"--cron {text!r}: has {len(fields)} fields, must have 6: {names}; {_from_unix(fields)}")
    for field, part in zip(FIELDS, fields, strict=True):
        try:
            _values(field, part)
        except ValueError as error:
            raise UserError(f"--cron {text!r}: {field.name}: {error}") from None
    if (fields[2] == "?") == (fields[4] == "?"):
        raise UserError(
            f"--cron {text!r}: exactly one of day of month and day of week must be ?, such as {EXAMPLE!r} (Mondays at "
            "six) or '0 6 1 * ? *' (the first of each month)"
        )
    return f"cron({' '.join(fields)})"


def rate(text: str) -> str:
    """A rate expression as Scheduler takes it, from `7 days`, with or without `rate(…)` around it.

    Raises:
        UserError: it is none, with what to write instead.
    """
    value, _, unit = _unwrapped(text, "rate").lower().partition(" ")
    single = unit.strip().removesuffix("s")
    if not value.isascii() or not value.isdigit() or int(value) < 1 or single not in UNITS:
        hint = did_you_mean(single, UNITS) if single not in UNITS else ""
        raise UserError(
            f"--rate {text!r}: must be a whole number of at least 1 and minutes, hours or days, such as '7 days'{hint}"
        )
    return f"rate({int(value)} {single}{'s' if int(value) != 1 else ''})"


def zone(name: str) -> ZoneInfo:
    """
    Raises:
        UserError: there is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UserError(f"--timezone {name}: there is no such time zone; name one as Europe/Berlin, or UTC") from None


def next_run(expression: str, timezone: str, now: datetime) -> datetime | None:
    """When an expression fires next, as far as it tells; None of a rate, of the past, and of what is years away."""
    kind, _, inner = expression.removesuffix(")").partition("(")
    where = ZoneInfo(timezone or "UTC")
    if kind == "at":
        moment = datetime.fromisoformat(inner).replace(tzinfo=where)
        return moment if moment > now else None
    return next(_cron_times(inner.split(), where, now), None) if kind == "cron" else None


def _cron_times(fields: list[str], where: ZoneInfo, now: datetime) -> Iterator[datetime]:
    minutes, hours, _, months, _, years = (_values(field, part) for field, part in zip(FIELDS, fields, strict=True))
    day = now.astimezone(where).date()
    for _ in range(HORIZON_DAYS):
        if day.month in months and day.year in years and _on_day(fields[2], fields[4], day):
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    moment = _moment(datetime.combine(day, time(hour, minute)), where)
                    if moment and moment > now:
                        yield moment
        day += timedelta(days=1)


def _moment(clock: datetime, where: ZoneInfo) -> datetime | None:
    """When a zone's clocks show this; None where they jump over it in spring, since Scheduler then starts nothing. What
    they show twice in autumn is the first time, as Scheduler starts it once."""
    moment = clock.replace(tzinfo=where).astimezone(UTC)
    return moment if moment.astimezone(where).replace(tzinfo=None) == clock else None


def _on_day(of_month: str, of_week: str, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    weekday = day.isoweekday() % 7 + 1  # SUN is 1
    if of_month == "?":
        if "#" in of_week:
            name, _, number = of_week.partition("#")
            return weekday == _number(FIELDS[4], name) and (day.day - 1) // 7 + 1 == int(number)
        if of_week == "L":  # the week's last day
            return weekday == DAYS["SAT"]
        if of_week.endswith("L"):
            return weekday == _number(FIELDS[4], of_week[:-1]) and day.day > last - 7
        return weekday in _values(FIELDS[4], of_week)
    if of_month == "L":
        return day.day == last
    if of_month.endswith("W"):
        return day.day == _working_day(day, last if of_month == "LW" else int(of_month[:-1]), last)
    return day.day in _values(FIELDS[2], of_month)


def _working_day(day: date, wanted: int, last: int) -> int:
    """The weekday nearest to a day, in the same month."""
    near = day.replace(day=min(wanted, last))
    shift = {6: -1 if near.day > 1 else 2, 7: 1 if near.day < last else -2}.get(near.isoweekday(), 0)
    return near.day + shift


def _values(field: Field, text: str) -> set[int]:
    """The numbers that a field's text stands for; of L, W and #, which depend on the month, none.

    Raises:
        ValueError: it is none; the message says what it may be.
    """
    if field.special and _is_special(field, text):
        return set()
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and (not step.isdigit() or int(step) < 1):
            raise ValueError(f"{part}: after / must stand a whole number of at least 1")
        if span == "*":
            least, most = field.least, field.most
        else:
            first, dash, second = span.partition("-")
            least = _number(field, first)
            most = _number(field, second) if dash else field.most if slash else least
        if least > most:
            raise ValueError(f"{part}: must go upwards")
        found |= set(range(least, most + 1, int(step) if slash else 1))
    return found


def _is_special(field: Field, text: str) -> bool:
    """Whether it is ?, or one of the forms with L, W or #, sound in itself.

    Raises:
        ValueError: its number is out of bounds.
    """
    if text == "?":
        return True
    if field.name == "day of week":
        if match := re.fullmatch(r"(\w+)#(\d+)", text):
            _number(field, match[1])
            if not 1 <= int(match[2]) <= 5:
                raise ValueError(f"{text}: after # must stand 1 to 5")
            return True
        if text.endswith("L"):
            return text == "L" or bool(_number(field, text[:-1]))
        return False
    if text.endswith("W") and text != "LW":
        return bool(_number(field, text[:-1]))
    return text in ("L", "LW")


def _number(field: Field, text: str) -> int:
    number = field.names.get(text, int(text) if text.isascii() and text.isdigit() else None)
    if number is None or not field.least <= number <= field.most:
        names = f" or {next(iter(field.names))} to {list(field.names)[-1]}" if field.names else ""
        special = f", or {', '.join(field.special)}" if field.special else ""
        raise ValueError(f"{text or 'nothing'}: must be {field.least} to {field.most}{names}, *{special}")
    return number


def _unwrapped(text: str, kind: str) -> str:
    text = text.strip()
    if text.lower().startswith(f"{kind}(") and text.endswith(")"):
        text = text[len(kind) + 1 : -1]
    return " ".join(text.split())


def _from_unix(fields: list[str]) -> str:
    """What to write: the same times in AWS's form where the fields are those of a crontab."""
    if len(fields) != 5:
        return f"such as {EXAMPLE!r}"
    minutes, hours, of_month, month, of_week = fields
    if of_week != "*":  # a crontab's week starts with 0 on Sunday, AWS's with 1
        of_month, of_week = "?", re.sub(r"\d+", lambda match: str(int(match[0]) % 7 + 1), of_week)
    else:
        of_week = "?"
    return f"a crontab's five are written so: {' '.join((minutes, hours, of_month, month, of_week, '*'))!r}"
