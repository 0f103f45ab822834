"""What the command line of Collect asks for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from steps.collect.feedback import utc
from steps.collect.opinions import Contradictions
from steps.preprocess.options import Parser
from steps.shared.contract import StepError
from steps.shared.folders import require_outside


@dataclass(frozen=True)
class Options:
    """One option of the command line each; see `python -m steps.collect --help`."""

    captures: Path
    feedback: Path
    output: Path
    data: Path | None = None
    max_feedback_share: float = 1.0
    feedback_weight: int = 1
    max_age_days: float | None = None
    contradictions: Contradictions = "majority"
    max_per_person_and_day: int | None = None
    redact: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    now: datetime | None = None

    def check(self) -> None:
        """Raises StepError for a value out of range, or options that do not go together."""
        if not 0 < self.max_feedback_share <= 1:
            raise StepError(f"--max-feedback-share {self.max_feedback_share}: must be above 0 and at most 1")
        if self.max_feedback_share < 1 and self.data is None:
            raise StepError("--max-feedback-share needs --data: it is a share of these rows and the pairs")
        if self.feedback_weight < 1:
            raise StepError(f"--feedback-weight {self.feedback_weight}: must be at least 1")
        if self.max_age_days is not None and not self.max_age_days > 0:
            raise StepError(f"--max-age-days {self.max_age_days}: must be above 0")
        if self.max_per_person_and_day is not None and self.max_per_person_and_day < 1:
            raise StepError(f"--max-per-person-and-day {self.max_per_person_and_day}: must be at least 1")
        require_outside(self.output, self.captures, self.feedback, self.data)


def parse(arguments: Sequence[str] | None = None, prog: str = "python -m steps.collect") -> Options:
    """
    Args:
        prog: the command, as messages name it.

    Raises:
        StepError: an argument that does not exist or has a value of another type.
    """
    given = vars(_parser(prog).parse_args(arguments))
    given["redact"] = tuple(given.pop("redact") or ())
    given["redact_patterns"] = tuple(given.pop("redact_pattern") or ())
    return Options(**given)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(utc(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} must be a time in ISO 8601") from None


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        allow_abbrev=False,
        description="Join what an endpoint answered with what people said about it, and make preference pairs.",
    )
    add = parser.add_argument
    add("--captures", type=Path, required=True, metavar="DIR", help="SageMaker's capture files, or those of `try`")
    add("--feedback", type=Path, required=True, metavar="DIR", help="JSON Lines of opinions")
    add("--output", type=Path, required=True, metavar="DIR", help="where pairs/, unpaired/ and report/ are written")
    add("--data", type=Path, metavar="PATH", help="the data that the pairs join, for --max-feedback-share")
    add("--max-feedback-share", type=float, default=1.0, metavar="X", help="largest share of the pairs in training (1)")
    add("--feedback-weight", type=int, default=1, metavar="N", help="how often training sees each pair, for this share")
    add("--max-age-days", type=float, metavar="X", help="leave out what was answered longer ago, or nobody knows when")
    add(
        "--contradictions",
        choices=get_args(Contradictions),
        default="majority",
        help="what counts where people disagree about an answer (majority)",
    )
    add("--max-per-person-and-day", type=int, metavar="N", help="most opinions of a named person that count in a day")
    add("--redact", action="append", metavar="NAME", help="take out mail, phone or account; may be given again")
    add("--redact-pattern", action="append", metavar="REGEX", help="take out what this finds; may be given again")
    add("--now", type=_moment, metavar="TIME", help="what ages count to; default: the clock")
    return parser
