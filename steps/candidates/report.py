"""report.json: how many lines ended in which state, by what the pairs differ, who answered, and how long it took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.candidates.judge import Judge
from steps.candidates.model import Origin
from steps.candidates.options import Options
from steps.candidates.states import State
from steps.shared import contract


@dataclass(frozen=True)
class Report:
    """
    Attributes:
        states: lines of prompts by their state.
        rules: pairs by what is wrong with the worse answer, or `judge`.
        answers: that were drawn to prompts which got all of theirs; `tokens` in them, in `seconds`.
        no_judge: why no judge was asked; None where one was.
        misfit: why the champion's adapter does not belong to the base; None where it does.
    """

    states: Counter[State]
    rules: Counter[str]
    who: Origin
    answers: int
    tokens: int
    seconds: float
    parser: str | None
    judge: Judge | None
    no_judge: str | None
    misfit: str | None
    options: Options

    def as_json(self) -> dict[str, Any]:
        judge = self.judge
        return {
            "prompts": {"lines": sum(self.states.values()), **{state.value: self.states[state] for state in State}},
            "pairs": {"kept": sum(self.rules.values()), "rules": dict(sorted(self.rules.items()))},
            "answered_by": {
                **self.who.as_dict(),
                "base": self.options.model_name or self.options.base,
                "revision": self.options.revision,
                "lookup": self.options.lookup or None,
                "misfit": self.misfit,
            },
            "answers": {"count": self.answers, "tokens": self.tokens, "seconds": round(self.seconds, 3)},
            "tool_call_parser": self.parser,
            "judge": {
                "model": judge.model if judge else None,
                "reason": self.no_judge,
                "comparisons": judge.comparisons if judge else 0,
                "tokens": judge.tokens if judge else 0,
                "stopped": judge.stopped if judge else None,
            },
            "options": {
                **self.options.sampling,
                "margin": self.options.margin,
                "max_prompts": self.options.max_prompts,
                "max_minutes": self.options.max_minutes,
            },
        }

    def write(self, folder: Path) -> None:
        contract.write_json(folder / "report.json", self.as_json())

    def summary(self) -> str:
        """The accounting as lines of text."""
        states = ", ".join(f"{self.states[state]} {state.value}" for state in State if self.states[state]) or "none"
        rules = ", ".join(f"{count} {rule}" for rule, count in sorted(self.rules.items())) or "none"
        version = f" {self.who.version}" if self.who.version else ""
        return "\n".join(
            [
                f"prompts  {sum(self.states.values())}: {states}",
                f"answers  {self.answers} by {self.who.kind}{version}, {self.tokens} tokens in {self.seconds:.1f} s",
                f"pairs    {sum(self.rules.values())}: {rules}",
            ]
        )
