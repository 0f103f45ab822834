"""Captures and feedback to pairs, with every line of both accounted for.

Feedback is held in memory, and of each capture that somebody spoke of where it stands; all others only pass by. So
memory grows with the feedback and not with the captures. What is written is read from the captures a second time.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from steps.collect import feedback, opinions, pairs, report
from steps.collect.answers import Capture, Prompts
from steps.collect.captures import CaptureFiles, Head, Place, Unreadable, head_of
from steps.collect.exchange import ExchangeReader, LeftOut
from steps.collect.feedback import Opinion
from steps.collect.options import Options
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.collect.report import Report
from steps.collect.states import CaptureState, FeedbackState
from steps.collect.write import PAIRS, UNPAIRED, Writer
from steps.preprocess.read.inputs import find_inputs
from steps.preprocess.read.sources import read_rows
from steps.shared.disks import filling
from steps.shared.folders import sole_writer

LEFT_OUT = "report/left_out.jsonl"


@dataclass
class _Lines:
    """What is known of all lines.

    Attributes:
        captures: those that somebody spoke of, and that may have an answer to train on.
        passed: states of the others, and of feedback that was not read.
        named: what is told one by one: (kind, file, line, state, reason).
    """

    opinions: list[Opinion] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    passed: Counter[CaptureState] = field(default_factory=Counter)
    unread: int = 0
    named: list[tuple[str, str, int, str, str]] = field(default_factory=list)


def collect(options: Options) -> Report:
    """Run the step and return its report; the output appears whole, or not at all.

    Raises:
        StepError: an option is wrong, a folder cannot be read, or another run writes to the output folder.
    """
    options.check()
    redactor = Redactor(options.redact, options.redact_patterns)
    with filling(options.output), sole_writer(options.output):
        staging = options.output / ".staging"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            found = _collected(options, redactor, staging)
            _publish(staging, options.output)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return found


def _collected(options: Options, redactor: Redactor, staging: Path) -> Report:
    lines, files = _Lines(), CaptureFiles(options.captures)
    wanted = _read_feedback(options, lines)
    prompts = Prompts()
    _read_captures(files, wanted, options, prompts, lines)
    judged = prompts.judged(options.contradictions)
    made = [pair for answers in judged for pair in pairs.pairs_of(answers)]
    given = _count_rows(options.data) if options.max_feedback_share < 1 and options.data else None
    kept, cut = pairs.newest(made, _most(options.max_feedback_share, given, options.feedback_weight))
    unpaired = pairs.settle(judged, kept, cut)
    writer = Writer(files, redactor)
    writer.write_pairs(staging / PAIRS, kept)
    writer.write_unpaired(staging / UNPAIRED, unpaired)
    found = _report(lines, kept, len(cut), given, redactor, options)
    _name(lines, staging / LEFT_OUT)
    found.write(staging / "report")
    return found


def _read_feedback(options: Options, lines: _Lines) -> dict[str, list[Opinion]]:
    """The opinions that count, by id; all that were read go to `lines`."""
    for file, number, line in feedback.lines(options.feedback):
        try:
            lines.opinions.append(feedback.opinion_of(line, file, number))
        except Unreadable as error:
            lines.unread += 1
            lines.named.append(("feedback", file, number, FeedbackState.UNREADABLE, str(error)))
    return opinions.current(lines.opinions, options.max_per_person_and_day)


def _read_captures(
    files: CaptureFiles, wanted: dict[str, list[Opinion]], options: Options, prompts: Prompts, lines: _Lines
) -> None:
    """Pass all captures once; those that somebody spoke of become answers, or get the state that says why not."""
    now = options.now or datetime.now(UTC)
    exchanges, spoken_of = ExchangeReader(), wanted.keys()
    usable: dict[str, bool] = {}  # ids that were captured, and whether there is an answer to train on under them
    for place, line in files.lines():
        try:
            head = head_of(line)
            ids = [one for one in head.ids if one in spoken_of]
            if not ids:
                lines.passed[CaptureState.NO_FEEDBACK] += 1
                continue
            if any(usable.get(one) for one in ids):
                raise LeftOut(CaptureState.DUPLICATE, "its id was captured before")
            usable |= dict.fromkeys(ids, False)
            said = [opinion for one in ids for opinion in wanted[one]]
            lines.captures.append(_capture(ids[0], head, place, files, said, options, now, exchanges, prompts))
            usable |= dict.fromkeys(ids, True)
        except Unreadable as error:
            _leave_out(lines, files, place, CaptureState.UNREADABLE, error)
        except LeftOut as error:
            _leave_out(lines, files, place, error.state, error)
    for named, said in wanted.items():
        if not usable.get(named):
            state = FeedbackState.CAPTURE_LEFT_OUT if named in usable else FeedbackState.NO_CAPTURE
            for opinion in said:
                opinion.state = state


def _leave_out(lines: _Lines, files: CaptureFiles, place: Place, state: CaptureState, why: Exception) -> None:
    lines.passed[state] += 1
    lines.named.append(("capture", files.name(place), place.line, state, str(why)))


def _capture(
    named: str, head: Head, place: Place, files: CaptureFiles, said: list[Opinion], options: Options, now: datetime,
    exchanges: ExchangeReader, prompts: Prompts,
) -> Capture:  # fmt: skip
    """A capture that somebody spoke of, added to the answers to its prompt.

    Raises:
        LeftOut: it is no answer to train on.
    """
    time = _time(head)
    if options.max_age_days is not None and feedback.age_days(time, now) > options.max_age_days:
        raise LeftOut(CaptureState.TOO_OLD, f"answered {time or 'nobody knows when'}")
    exchange = exchanges.read(head)
    capture = Capture(named, place, files.origins[place.file], exchange.model, time, said)
    prompts.add(exchange, capture)
    return capture


def _time(head: Head) -> str:
    try:
        return feedback.utc(head.time) if head.time else ""
    except (ValueError, OverflowError):
        return ""


def _count_rows(path: Path) -> int:
    """Rows of the given data, good or bad, as Preprocess reads it; raises as it does where there are none to read."""
    return sum(1 for label, file in find_inputs(path).files for _ in read_rows(label, file))


def _most(share: float, given: int | None, weight: int) -> int | None:
    """The most pairs of which `share` is not exceeded beside the given rows, when each counts `weight` times."""
    return None if given is None else int(given * share / (1 - share) / weight + 1e-9)


def _report(
    lines: _Lines, kept: list[Pair], cut: int, given: int | None, redactor: Redactor, options: Options
) -> Report:
    captures = lines.passed + Counter(_known(capture.state) for capture in lines.captures)
    said = Counter(_known(opinion.state) for opinion in lines.opinions)
    said[FeedbackState.UNREADABLE] += lines.unread
    return report.Report(
        captures=captures,
        feedback=said,
        rules=Counter(pair.rule for pair in kept),
        over_share=cut,
        given_rows=given,
        redacted=redactor.counts,
        options=options,
    )


def _known(state: CaptureState | FeedbackState | None) -> CaptureState | FeedbackState:
    if state is None:
        raise AssertionError("a line without a state: the counts would not add up")
    return state


def _name(lines: _Lines, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("kind", "file", "line", "state", "reason")
    with open(path, "wb") as file:
        for entry in lines.named:
            file.write(orjson.dumps(dict(zip(keys, entry, strict=True)), option=orjson.OPT_APPEND_NEWLINE))


def _publish(staging: Path, output: Path) -> None:
    """Put the parts in their place, instead of those of an earlier run."""
    for part in staging.iterdir():
        shutil.rmtree(output / part.name, ignore_errors=True)
        part.rename(output / part.name)
