"""An answer judged against the chosen one: what it does, whether its calls are right, what is wrong in its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from steps.shared.calls.call import Call, Parsed
from steps.shared.calls.compare import Comparison, compare
from steps.shared.calls.kinds import Kind, expected_calls, expected_kind, kind
from steps.shared.calls.parsers import in_reasoning, parse
from steps.shared.calls.schemas import unusable_schemas
from steps.train.answers import language
from steps.train.answers.form import Markers, faults
from steps.train.answers.said import Answers, Question, Said, Side

Wrong = Literal["arguments", "name", "number", "decision", "unreadable"]


@dataclass(frozen=True)
class Judged:
    """One answer.

    Attributes:
        kind: what it does; `text` where the row declares no tools; None where calls cannot be read, or it is cut.
        calls: that it makes; `comparison` says whether they are the chosen answer's, `broken` why one that begins
            could not be read. There is a comparison wherever `right` is known.
        right: of a row with tools whose chosen answer calls: the same calls; of one whose chosen answer does not: no
            call, and none that begins. None for rows without tools, and where calls cannot be read or it is cut.
        wrong: the first thing that is wrong with its calls; None where it is right or not known.
        faults: of its form (steps/train/answers/form.py).
        cut: the tokens allowed ended it inside its reasoning, or where the chosen answer has no end within them either.
            Then that it has no end is no fault, and whether its calls are right is not known.
        other_language: the text beside the calls is in another script or language than the chosen answer's.
    """

    said: Said
    kind: Kind | Literal["text"] | None
    calls: tuple[Call, ...]
    broken: str | None
    comparison: Comparison | None
    right: bool | None
    wrong: Wrong | None
    faults: tuple[str, ...]
    cut: bool
    other_language: bool


@dataclass(frozen=True)
class JudgedQuestion:
    """A question with what every side said to it.

    Attributes:
        expected: what the chosen answer does; `text` where the row declares no tools.
        expected_calls: those of the chosen answer.
        schemas_unusable: declared tools whose schema is none, each with why.
        sides: side -> its answer.
    """

    question: Question
    expected: Kind | Literal["text"]
    expected_calls: tuple[Call, ...]
    schemas_unusable: tuple[str, ...]
    sides: Mapping[Side, Judged]


def judge_answers(
    answers: Answers, parser: str | None, specials: Sequence[str], max_new_tokens: int
) -> list[JudgedQuestion]:
    """Judge every answer of every side.

    Args:
        parser: one of calls.parsers.PARSERS; None: calls are not judged.
        specials: the special tokens of the tokenizer, those at which inference stops included.
        max_new_tokens: that an answer was allowed to have.
    """
    markers = Markers(specials, [question.chosen for question in answers.questions])
    return [
        _judge_question(
            question,
            {side: said[at] for side, said in answers.said.items()},
            parser,
            markers,
            fits=question.chosen_tokens <= max_new_tokens,
        )
        for at, question in enumerate(answers.questions)
    ]


def _judge_question(
    question: Question, said: Mapping[Side, Said], parser: str | None, markers: Markers, *, fits: bool
) -> JudgedQuestion:
    record = question.record
    expected = expected_kind(record) if record.tools else "text"
    calls = expected_calls(record) if record.tools else ()
    chosen = _read(parser, question.chosen, record.tools).content
    return JudgedQuestion(
        question=question,
        expected=expected,
        expected_calls=calls,
        schemas_unusable=tuple(unusable_schemas(record.tools)),
        sides={side: _judge(one, question, calls, chosen, parser, markers, fits=fits) for side, one in said.items()},
    )


def _judge(
    said: Said, question: Question, expected: tuple[Call, ...], chosen: str, parser: str | None, markers: Markers, *,
    fits: bool,
) -> Judged:  # fmt: skip
    """
    Args:
        fits: the chosen answer has no more tokens than an answer was allowed to have.
    """
    tools = question.record.tools
    parsed = _read(parser, said.text, tools)
    cut = not said.ended and (not fits or in_reasoning(said.text, question.prompt))
    judged = bool(tools) and parser is not None and not cut
    comparison = compare(expected, parsed.calls, tools) if judged else None
    wrong = _wrong(expected, parsed, comparison) if comparison else None
    return Judged(
        said=said,
        kind="text" if not tools else kind(parsed) if judged else None,
        calls=parsed.calls,
        broken=parsed.broken,
        comparison=comparison,
        right=wrong is None if comparison else None,
        wrong=wrong,
        faults=faults(said.text if cut else parsed.content, markers, calls=bool(parsed.calls), ended=said.ended or cut),
        cut=cut,
        other_language=language.differs(parsed.content, chosen),
    )


def _read(parser: str | None, text: str, tools: list[dict[str, Any]] | None) -> Parsed:
    """An answer's calls and the text beside them; without a parser, all of it is text."""
    return parse(parser, text, tools) if parser else Parsed((), text.strip())


def _wrong(expected: tuple[Call, ...], parsed: Parsed, comparison: Comparison) -> Wrong | None:
    if parsed.broken:
        return "unreadable"
    if bool(expected) != bool(parsed.calls):
        return "decision"
    if comparison.right:
        return None
    if not comparison.same_number:
        return "number"
    return "arguments" if comparison.names else "name"
