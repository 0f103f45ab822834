"""What evaluation.json says of the answers, and answers.jsonl, which shows them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steps.shared.calls.call import Call
from steps.train.answers import figures
from steps.train.answers.judged import Judged, JudgedQuestion, judge_answers
from steps.train.answers.parser import Parser, checked
from steps.train.answers.said import Answers, Side

NONE_ANSWERED = "none of the questions was answered in time"
NONE_ASKED = "no held-out row has a prompt that can be answered"

Row = dict[str, Any]


def judge(
    answers: Answers | str, parser: Parser, *, specials: Sequence[str], max_new_tokens: int
) -> tuple[dict[str, Any], list[Row]]:
    """The section `answers` of evaluation.json, and the lines of answers.jsonl, the worst first.

    Args:
        answers: or why there are none.
        specials: the special tokens of the tokenizer, those at which inference stops included.
        max_new_tokens: that an answer was allowed to have.
    """
    if isinstance(answers, str):
        return {"judged": False, "reason": answers}, []
    if not answers.questions:
        reason = NONE_ANSWERED if answers.asked else NONE_ASKED
        return {"judged": False, "reason": reason}, []
    parser = checked(parser, answers.questions)
    questions = judge_answers(answers, parser.name, specials, max_new_tokens)
    section = _facts(answers, parser, max_new_tokens) | _figures(questions, answers)
    return section, [_row(one) for one in sorted(questions, key=_badness)]


def in_short(section: Mapping[str, Any]) -> str:
    """What the section says, in part of a sentence for the log."""
    if not section["judged"]:
        return f"no answers judged ({section['reason']})"
    before, after = section["before"], section["after"]
    degenerate = [side["form"]["degenerate"]["share"] for side in (before, after)]
    said = f"degenerate answers {degenerate[0]:.3f} -> {degenerate[1]:.3f} of {section['rows']}"
    if not (before["calls"] and after["calls"]):
        return said
    right = [side["calls"]["share"] for side in (before, after)]
    return f"right calls {right[0]:.3f} -> {right[1]:.3f} of {after['calls']['rows']}, {said}"


def _facts(answers: Answers, parser: Parser, max_new_tokens: int) -> dict[str, Any]:
    return {
        "judged": True,
        "reason": None,
        "form": answers.form,
        "asked": answers.asked,
        "rows": len(answers.questions),
        "not_asked": dict(answers.not_asked),
        "out_of_time": answers.out_of_time,
        "no_champion": answers.no_champion,
        "max_new_tokens": max_new_tokens,
        "seconds": answers.seconds,
        "tokens": answers.tokens,
        "parser": parser.name,
        "parser_reason": parser.reason,
    }


def _figures(questions: Sequence[JudgedQuestion], answers: Answers) -> dict[str, Any]:
    base = figures.tokens_mean(questions, "base")
    champion = "champion" in answers.said
    return {
        "before": figures.side_figures(questions, "base", None),
        "after": figures.side_figures(questions, "candidate", base),
        "champion": figures.side_figures(questions, "champion", base) if champion else None,
        "against_base": figures.paired(questions, "candidate", "base"),
        "against_champion": figures.paired(questions, "candidate", "champion") if champion else None,
    }


def _badness(one: JudgedQuestion) -> tuple[int, int, int]:
    """Lower comes first: what the training has spoiled, then what is wrong, then what has a fault; else as asked."""
    candidate = one.sides["candidate"]
    others = [judged for side, judged in one.sides.items() if side != "candidate"]
    spoiled = candidate.right is False and any(other.right for other in others)
    degenerated = bool(candidate.faults) and any(not other.faults for other in others)
    ranks = (spoiled, degenerated, candidate.right is False, bool(candidate.faults), candidate.other_language)
    first = next((rank for rank, applies in enumerate(ranks) if applies), len(ranks))
    return first, -len(candidate.faults), 0 if candidate.right is False else 1


def _row(one: JudgedQuestion) -> Row:
    record = one.question.record
    return {
        "id": record.id,
        "prompt": record.prompt,
        "tools": record.tools,
        "chosen": one.question.chosen,
        "expected": one.expected,
        "answers": _sides(one.sides),
    }


def _sides(sides: Mapping[Side, Judged]) -> dict[str, Any]:
    return {
        side: {
            "text": judged.said.text,
            "tokens": judged.said.tokens,
            "ended": judged.said.ended,
            "kind": judged.kind,
            "calls": [_call(call) for call in judged.calls],
            "right": judged.right,
            "wrong": judged.wrong,
            "faults": list(judged.faults),
        }
        for side, judged in sides.items()
    }


def _call(call: Call) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}
