"""Captures and feedback to pairs, with every line of both accounted for.

Feedback is held in memory, and of each capture that somebody spoke of where it stands; all others only pass by. So
memory grows with the feedback and not with the captures. What is written is read from the captures a second time.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson

from steps.collect import feedback, opinions, pairs, report
from steps.collect.captures import CaptureFiles, Unreadable
from steps.collect.feedback import Opinion
from steps.collect.join.engine import Engine, PythonEngine
from steps.collect.join.join import Join, Lines
from steps.collect.join.look import Terms
from steps.collect.options import Options
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.collect.report import Report
from steps.collect.states import CaptureState, FeedbackState
from steps.collect.write import PAIRS, UNPAIRED, write
from steps.shared.disks import filling
from steps.shared.folders import sole_writer, staged

LEFT_OUT = "report/left_out.jsonl"


def collect(options: Options, engine: Engine | None = None) -> Report:
    """Run the step and return its report; the output appears whole, or not at all.

    Args:
        engine: who reads the captures; None for this process.

    Raises:
        StepError: an option is wrong, a folder cannot be read, or another run writes to the output folder.
    """
    options.check()
    redactor = Redactor(options.redact, options.redact_patterns)
    with filling(options.output), sole_writer(options.output), staged(options.output) as staging:
        return _collected(options, redactor, engine or PythonEngine(), staging)


def _collected(options: Options, redactor: Redactor, engine: Engine, staging: Path) -> Report:
    lines, files = Lines(), CaptureFiles(options.captures)
    wanted = _read_feedback(options, lines)
    join = Join(files, wanted, lines)
    engine.join(files, Terms(wanted.keys(), options.max_age_days, options.now or datetime.now(UTC)), join)
    join.finish()
    judged = join.prompts.judged(options.contradictions)
    made = [pair for answers in judged for pair in pairs.pairs_of(answers)]
    given = engine.count_rows(options.data) if options.max_feedback_share < 1 and options.data else None
    kept, cut = pairs.newest(made, _most(options.max_feedback_share, given, options.feedback_weight))
    unpaired = pairs.settle(judged, kept, cut)
    write(staging / PAIRS, engine.rows(files, kept, options, redactor))
    write(staging / UNPAIRED, engine.rows(files, unpaired, options, redactor))
    found = _report(lines, kept, len(cut), given, redactor, options)
    _name(lines, staging / LEFT_OUT)
    found.write(staging / "report")
    return found


def _read_feedback(options: Options, lines: Lines) -> dict[str, list[Opinion]]:
    """The opinions that count, by id; all that were read go to `lines`."""
    for file, number, line in feedback.lines(options.feedback):
        try:
            lines.opinions.append(feedback.opinion_of(line, file, number))
        except Unreadable as error:
            lines.unread += 1
            lines.named.append(("feedback", file, number, FeedbackState.UNREADABLE, str(error)))
    return opinions.current(lines.opinions, options.max_per_person_and_day)


def _most(share: float, given: int | None, weight: int) -> int | None:
    """The most pairs of which `share` is not exceeded beside the given rows, when each counts `weight` times."""
    return None if given is None else int(given * share / (1 - share) / weight + 1e-9)


def _report(
    lines: Lines, kept: list[Pair], cut: int, given: int | None, redactor: Redactor, options: Options
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


def _name(lines: Lines, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("kind", "file", "line", "state", "reason")
    with open(path, "wb") as file:
        for entry in lines.named:
            file.write(orjson.dumps(dict(zip(keys, entry, strict=True)), option=orjson.OPT_APPEND_NEWLINE))
