"""Let a judge compare the pairs, within bounds; what it said stays as a transcript.

Limits: pair after pair, at the pace of one answer at a time; the bound on tokens is looked at before each pair, so that
the last one may exceed it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steps.champion import approved
from steps.gate.judge import bedrock, pairs, prompt
from steps.gate.judge.bedrock import Reply
from steps.gate.judge.judgement import Judgement
from steps.gate.judge.pairs import Pair
from steps.shared import contract
from steps.shared.contract import StepError

TRANSCRIPT = "judge.jsonl"
HERE = "a run on this machine has no credentials for Amazon Bedrock"
Verdict = Literal["candidate", "base", "tie", "unreadable"]
Ask = Callable[[str], Reply]


@dataclass(frozen=True)
class Bounds:
    """
    Attributes:
        pairs: most pairs, each of which is two questions.
        tokens: that the judge may read and write in all.
    """

    pairs: int
    tokens: int

    def check(self) -> None:
        """Raises StepError for a value out of range."""
        for flag, value in (("--judge-max-pairs", self.pairs), ("--judge-max-tokens", self.tokens)):
            if value < 1:
                raise StepError(f"{flag}: {value}: must be at least 1")


def judge(answers: Path, model: str, bounds: Bounds, output: Path) -> Judgement:
    """Compare the answers of a file, where there is one, and write the transcript of what was compared into `output`.

    A run on this machine asks nobody: its jobs have no credentials, as little as its other jobs reach AWS.

    Raises:
        StepError: the file is damaged, or the judge does not answer.
    """
    found = pairs.read(answers) if answers.is_file() else []
    if approved.VARIABLE in os.environ:
        return Judgement(model, len(found), wins=0, losses=0, ties=0, unreadable=0, tokens=0, stopped=HERE)
    here = bedrock.client() if found else None
    judged, transcript = compare(found, model, bounds, lambda text: bedrock.ask(here, model, text))
    if transcript:
        lines = (json.dumps(line, ensure_ascii=False, sort_keys=True) for line in transcript)
        contract.write_text(output / TRANSCRIPT, "\n".join(lines) + "\n")
    return judged


def compare(found: Sequence[Pair], model: str, bounds: Bounds, ask: Ask) -> tuple[Judgement, list[dict[str, Any]]]:
    """The figures, and a line for each pair with what the judge said of it in both orders."""
    counts: Counter[Verdict] = Counter()
    transcript: list[dict[str, Any]] = []
    tokens, stopped = 0, None
    for pair in found:
        if len(transcript) == bounds.pairs:
            stopped = f"judge_max_pairs: {bounds.pairs}"
            break
        if tokens >= bounds.tokens:
            stopped = f"judge_max_tokens: {bounds.tokens}"
            break
        line = compared(pair, ask)
        transcript.append(line)
        counts[line["verdict"]] += 1
        tokens += sum(said["tokens"] for said in line["said"])
    judged = Judgement(
        model=model,
        pairs=len(found),
        wins=counts["candidate"],
        losses=counts["base"],
        ties=counts["tie"],
        unreadable=counts["unreadable"],
        tokens=tokens,
        stopped=stopped,
    )
    return judged, transcript


def compared(pair: Pair, ask: Ask) -> dict[str, Any]:
    """A pair's line of the transcript: its verdict, and what the judge said in both orders."""
    if pair.candidate.strip() == pair.base.strip():  # nothing to pay for
        return {"id": pair.id, "verdict": "tie", "same": True, "said": []}
    said = []
    for candidate_first in (True, False):
        reply = ask(prompt.asked(pair, candidate_first=candidate_first))
        said.append(
            {
                "candidate": "A" if candidate_first else "B",
                "choice": prompt.choice(reply.text),
                "text": reply.text,
                "stop": reply.stop,
                "tokens": reply.tokens,
            }
        )
    return {"id": pair.id, "verdict": _verdict(said), "same": False, "said": said}


def _verdict(said: Sequence[dict[str, Any]]) -> Verdict:
    if any(one["choice"] is None for one in said):
        return "unreadable"
    for_candidate = [one["choice"] == one["candidate"] for one in said if one["choice"] != "C"]
    if len(for_candidate) < len(said) or len(set(for_candidate)) > 1:
        return "tie"
    return "candidate" if for_candidate[0] else "base"
