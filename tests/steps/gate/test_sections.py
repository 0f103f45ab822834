"""What training writes of answers is what the gate reads: the real section and the real lines, not the builder's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steps.gate.decision import decide
from steps.gate.judge import pairs
from steps.train.answers import section
from steps.train.answers.parser import Parser
from tests.steps.gate.evaluation import champion, evaluation, limits, verdicts
from tests.steps.train.answers.answers import answers, call, calling, said, texting

HERMES = Parser("hermes", None)
QUESTIONS = [
    *(calling(number) for number in range(12)),
    *(texting(20 + number, "Fine.", tools=False) for number in range(6)),
]


def written(*, parser: Parser = HERMES, wrong: int = 0, loops: int = 0, rival: bool = False) -> tuple[Any, Any]:
    """The section and the rows of a candidate with so many wrong calls, and texts without an end."""
    good = [call("Oslo")] * 12
    base = said(*good, *["Fine."] * 6)
    own = [*said(*[call("Bergen")] * wrong, *good[wrong:], *["Fine!"] * (6 - loops))]
    own += said(*["And so on."] * loops, unfinished=True) if loops else ()
    sides = {"base": base, "candidate": tuple(own)} | ({"champion": base} if rival else {})
    return section.judge(answers(QUESTIONS, **sides), parser, specials=(), max_new_tokens=64)


def test_a_good_run_passes_on_what_training_writes() -> None:
    found = decide(evaluation(answers=written(rival=True)[0], champion=champion()), limits(), "")
    assert found["decision"] == "pass", found["message"]
    assert set(verdicts(found).values()) == {"pass"}
    assert "Tool calls are as the chosen answers' in 12 of 12 (1.0000)" in found["message"]


def test_worse_calls_and_degenerate_answers_fail_on_what_training_writes() -> None:
    found = decide(evaluation(answers=written(wrong=9, loops=6, rival=True)[0], champion=champion()), limits(), "")
    assert found["message"].startswith("3 of 7 rules failed: calls, calls_champion, degenerate. ")
    assert "in 3 of 12 (0.2500), the base's in 12 of 12 (1.0000): 0 won, 9 lost" in found["message"]
    assert "6 of 18 answers are degenerate (6 without an end after 64 tokens)" in found["message"]


@pytest.mark.parametrize("reason", ["evaluate_answers: 0", None])
def test_what_training_could_not_judge_is_not_judged(reason: str | None) -> None:
    if reason:
        found, _ = section.judge(reason, HERMES, specials=(), max_new_tokens=64)
    else:
        found, _ = written(parser=Parser(None, "no parser is known for this model"))
    decided = decide(evaluation(answers=found), limits(), "")
    assert decided["decision"] == "pass" and verdicts(decided)["calls"] == "not judged"
    assert (reason or "no parser is known for this model") in decided["message"]


def test_the_judge_reads_the_lines_that_training_writes(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in written()[1]))
    found = pairs.read(file)
    assert len(found) == 6 and {(pair.base, pair.candidate) for pair in found} == {("Fine.", "Fine!")}
