"""A language model compares the text answers among which the verifier finds no difference: the gate's judge.

Every two different answers to a prompt are compared in both orders, as the gate's judge does it (steps/gate/judge); an
answer's score is its share of the comparisons, a tie being half a win. Limits: n answers are n (n - 1) questions;
answers that call tools are not compared. The bounds on tokens and time are looked at before each few prompts.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from steps.candidates.answered import Answer
from steps.candidates.prompts import Prompt
from steps.champion import approved
from steps.gate.judge import bedrock
from steps.gate.judge.bedrock import Reply
from steps.gate.judge.compare import HERE, compared
from steps.gate.judge.pairs import LONGEST, Pair, told

AT_ONCE = 8  # prompts that are judged side by side: a judge takes seconds for an answer, and a GPU is paid meanwhile
Ask = Callable[[str], Reply]
WORTH = {"candidate": (1.0, 0.0), "base": (0.0, 1.0), "tie": (0.5, 0.5), "unreadable": (0.5, 0.5)}


@dataclass
class Judge:
    """
    Attributes:
        model: the judge's name.
        tokens: that it has read and written.
        comparisons: pairs of answers that it has compared.
        stopped: which bound has ended the judgement; None where none has.
    """

    model: str
    ask: Ask
    most_tokens: int
    end: float
    tokens: int = 0
    comparisons: int = 0
    stopped: str | None = None

    def scores(self, asked: Sequence[tuple[Prompt, Sequence[Answer]]]) -> Iterator[list[float] | None]:
        """The scores of each prompt's answers, from 0 to 1; None where a bound came first.

        Raises:
            StepError: the judge does not answer.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for start in range(0, len(asked), AT_ONCE):
                some = asked[start : start + AT_ONCE]
                self.stopped = self.stopped or self._over()
                if self.stopped:
                    yield from (None for _ in some)
                    continue
                for values, tokens, comparisons in pool.map(self._judged, some):
                    self.tokens += tokens
                    self.comparisons += comparisons
                    yield values

    def _judged(self, one: tuple[Prompt, Sequence[Answer]]) -> tuple[list[float], int, int]:
        prompt, answers = one
        return _scores(prompt, answers, self.ask)

    def _over(self) -> str | None:
        if self.tokens >= self.most_tokens:
            return "judge_max_tokens"
        return "max_minutes" if time.monotonic() > self.end else None


def reachable(model: str | None) -> str | None:
    """Why no judge can be asked; None where it can. A run on this machine asks nobody, as the gate's."""
    if model is None:
        return "no judge is set (gate.judge)"
    return HERE if approved.VARIABLE in os.environ else None


def of_bedrock(model: str, most_tokens: int, end: float) -> Judge:
    """The judge that Amazon Bedrock has under this name.

    Args:
        end: by time.monotonic(), after which it is asked no more.
    """
    client = bedrock.client()
    return Judge(model, lambda text: bedrock.ask(client, model, text), most_tokens, end)


def _scores(prompt: Prompt, answers: Sequence[Answer], ask: Ask) -> tuple[list[float], int, int]:
    """Scores, tokens and comparisons of one prompt."""
    conversation = told(prompt.messages)[-LONGEST:]
    texts = [answer.content[:LONGEST] for answer in answers]
    points, tokens, comparisons = [0.0] * len(texts), 0, 0
    for one, other in itertools.combinations(range(len(texts)), 2):
        line = compared(Pair(prompt.key, conversation, base=texts[other], candidate=texts[one]), ask)
        for place, worth in zip((one, other), WORTH[line["verdict"]], strict=True):
            points[place] += worth
        tokens += sum(said["tokens"] for said in line["said"])
        comparisons += 1
    return [value / (len(texts) - 1) for value in points], tokens, comparisons
