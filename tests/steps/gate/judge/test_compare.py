"""A judgement of pairs: both orders, ties, bounds, odd answers, and the transcript."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from steps.champion import approved
from steps.gate.judge import bedrock, compare
from steps.gate.judge.bedrock import Reply
from steps.gate.judge.compare import TRANSCRIPT, Bounds
from steps.gate.judge.pairs import Pair
from steps.gate.rules.judge import preferred

BOUNDS = Bounds(pairs=64, tokens=10_000)
GOOD, BAD = "good answer", "bad answer"


def pairs(count: int, base: str = BAD, candidate: str = GOOD) -> list[Pair]:
    return [Pair(f"{number}", "user:\nHi", base, candidate) for number in range(count)]


def answering(said: Callable[[str], str]) -> Callable[[str], Reply]:
    return lambda question: Reply(said(question), "end_turn", 100)


def by_content(question: str) -> str:
    """A judge that knows what is good, wherever it stands."""
    return "Because.\n" + ("[[A]]" if question.index(GOOD) < question.index(BAD) else "[[B]]")


@pytest.mark.parametrize(
    ("base", "candidate", "verdict"), [(BAD, GOOD, "candidate"), (GOOD, BAD, "base"), (GOOD, GOOD, "tie")]
)
def test_the_better_answer_wins_in_both_orders(base: str, candidate: str, verdict: str) -> None:
    judged, transcript = compare.compare(pairs(3, base, candidate), "m", BOUNDS, answering(by_content))
    assert [line["verdict"] for line in transcript] == [verdict] * 3
    counts = {"candidate": judged.wins, "base": judged.losses, "tie": judged.ties}
    assert counts.pop(verdict) == 3 and not any(counts.values())
    assert (judged.pairs, judged.judged, judged.unreadable, judged.stopped) == (3, 3, 0, None)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (["[[A]]", "[[A]]"], "tie"),  # it prefers what it reads first
        (["[[B]]", "[[B]]"], "tie"),
        (["[[C]]", "[[C]]"], "tie"),
        (["[[A]]", "[[C]]"], "tie"),
        (["[[A]]", "[[B]]"], "candidate"),
        (["[[B]]", "[[A]]"], "base"),
        (["[[A]]", "Neither, sorry."], "unreadable"),
        (["", "[[C]]"], "unreadable"),
    ],
)
def test_only_what_is_preferred_in_both_orders_wins(said: list[str], verdict: str) -> None:
    words = iter(said)
    judged, (line,) = compare.compare(pairs(1), "m", BOUNDS, answering(lambda question: next(words)))
    assert line["verdict"] == verdict
    assert judged.judged + judged.unreadable == 1
    assert [one["candidate"] for one in line["said"]] == ["A", "B"]
    assert [one["text"] for one in line["said"]] == said


def test_equal_answers_are_a_tie_that_costs_nothing() -> None:
    judged, (line,) = compare.compare(pairs(1, GOOD, f"{GOOD}\n"), "m", BOUNDS, answering(by_content))
    assert (judged.ties, judged.tokens, line["same"], line["said"]) == (1, 0, True, [])


@pytest.mark.parametrize(
    ("bounds", "asked", "stopped"),
    [
        (Bounds(pairs=4, tokens=10_000), 4, "judge_max_pairs: 4"),
        (Bounds(pairs=64, tokens=600), 3, "judge_max_tokens: 600"),
        (Bounds(pairs=64, tokens=601), 4, "judge_max_tokens: 601"),
        (Bounds(pairs=10, tokens=2000), 10, None),
    ],
)
def test_a_judgement_ends_at_its_bounds_and_says_so(bounds: Bounds, asked: int, stopped: str | None) -> None:
    judged, transcript = compare.compare(pairs(10), "m", bounds, answering(by_content))
    assert (len(transcript), judged.tokens, judged.stopped) == (asked, asked * 200, stopped)
    assert judged.pairs == 10


def test_a_run_on_this_machine_asks_nobody_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(approved.VARIABLE, str(tmp_path))
    monkeypatch.setattr(bedrock, "client", lambda: pytest.fail("Bedrock was asked"))
    said = {"base": {"text": BAD}, "candidate": {"text": GOOD}}
    (tmp_path / "answers.jsonl").write_text(json.dumps({"id": "a", "prompt": [], "expected": "text", "answers": said}))
    found = preferred(compare.judge(tmp_path / "answers.jsonl", "m", BOUNDS, tmp_path))
    assert (found.verdict, found.reason) == (
        "not judged",
        "The judge m was not asked: a run on this machine has no credentials for Amazon Bedrock.",
    )


def test_the_transcript_is_written_where_something_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = tmp_path / "answers.jsonl"
    monkeypatch.setattr(bedrock, "client", lambda: None)
    monkeypatch.setattr(bedrock, "ask", lambda here, model, question: Reply(by_content(question), "end_turn", 7))
    nothing = compare.judge(answers, "m", BOUNDS, tmp_path)
    assert (nothing.pairs, nothing.judged) == (0, 0) and not (tmp_path / TRANSCRIPT).exists()
    said = {"base": {"text": BAD}, "candidate": {"text": GOOD}}
    row = {"id": "a", "prompt": [{"role": "user", "content": "Grüß"}], "expected": "text", "answers": said}
    answers.write_text(json.dumps(row) + "\n")
    assert compare.judge(answers, "m", BOUNDS, tmp_path / "out").wins == 1
    (line,) = (tmp_path / "out" / TRANSCRIPT).read_text().splitlines()
    assert json.loads(line)["verdict"] == "candidate"
    assert [one["choice"] for one in json.loads(line)["said"]] == ["A", "B"]
