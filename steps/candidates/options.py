"""What the command line of Candidates asks for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.preprocess.options import Parser
from steps.shared.contract import StepError
from steps.shared.folders import require_outside
from steps.shared.templates import arguments as template_arguments

NONE = "none"  # what champion.json says where there is nothing to say


@dataclass(frozen=True)
class Options:
    """One option of the command line each; see `python -m steps.candidates --help`."""

    output: Path
    base: str
    revision: str | None = None
    model_name: str | None = None
    unpaired: Path | None = None
    pairs: Path | None = None
    prompts: Path | None = None
    champion: Path | None = None
    version: str = NONE
    lookup: str = ""
    initial_adapter: Path | None = None
    tool_call_parser: str = "auto"
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    answers: int = 4
    temperature: float = 1.0
    top_p: float = 0.95
    max_new_tokens: int = 512
    seed: int = 0
    margin: float = 0.3
    max_prompts: int = 1000
    max_minutes: float = 60.0
    judge: str | None = None
    judge_max_tokens: int = 500_000

    def check(self) -> None:
        """Raises StepError for a value out of range, or options that do not go together."""
        if self.unpaired is None and self.prompts is None:
            raise StepError("there are no prompts; give --unpaired, --prompts or both")
        for name, least in (("answers", 2), ("max_new_tokens", 1), ("max_prompts", 1), ("judge_max_tokens", 1)):
            if getattr(self, name) < least:
                raise StepError(f"{_flag(name)} {getattr(self, name)}: must be at least {least}")
        for name in ("temperature", "max_minutes"):
            if not getattr(self, name) > 0:
                raise StepError(f"{_flag(name)} {getattr(self, name)}: must be above 0")
        if not 0 < self.top_p <= 1:
            raise StepError(f"--top-p {self.top_p}: must be above 0 and at most 1")
        if not 0 <= self.margin < 1:
            raise StepError(f"--margin {self.margin}: must be at least 0 and below 1, as scores are from 0 to 1")
        require_outside(self.output, self.unpaired, self.pairs, self.prompts, self.champion, self.initial_adapter)

    @property
    def sampling(self) -> dict[str, Any]:
        """What answers are drawn with, as provenance has it."""
        names = ("answers", "temperature", "top_p", "max_new_tokens", "seed")
        return {name: getattr(self, name) for name in names}


def parse(arguments: Sequence[str] | None = None) -> Options:
    """
    Raises:
        StepError: an argument that does not exist or has a value of another type.
    """
    return Options(**vars(_parser().parse_args(arguments)))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or template_arguments.fault(value):
        raise argparse.ArgumentTypeError(f'{text}: must be a JSON object, such as {{"enable_thinking": false}}')
    return value


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m steps.candidates",
        allow_abbrev=False,
        description="Let the champion answer prompts several times, and make a pair of the best and the worst answer.",
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="where pairs/ and report/ are written")
    add("--base", required=True, metavar="MODEL", help="the base model: a folder, or its hub name")
    add("--revision", help="commit, tag or branch of a hub model")
    add("--model-name", metavar="NAME", help="what the base is called, where --base does not say it")
    add("--unpaired", type=Path, metavar="DIR", help="judged answers without a counterpart, as Collect writes them")
    add("--pairs", type=Path, metavar="DIR", help="Collect's pairs, whose prompts are left out")
    add("--prompts", type=Path, metavar="PATH", help="prompts of your own: a data file, or a folder of them")
    add("--champion", type=Path, metavar="DIR", help="the champion's adapter; without one in it the base answers")
    add("--version", default=NONE, help="the champion's, in the registry")
    add("--lookup", default="", metavar="TEXT", help="what looking for the champion found")
    add("--initial-adapter", type=Path, metavar="DIR", help="what answers where there is no champion")
    add("--tool-call-parser", default="auto", metavar="NAME", help="vLLM's parser of calls; none: they are not read")
    add("--chat-template-kwargs", type=_object, default={}, metavar="JSON", help="for the base; an adapter has its own")
    add("--answers", type=int, default=4, metavar="N", help="answers to each prompt (4)")
    add("--temperature", type=float, default=1.0, metavar="X", help="that they are drawn at (1)")
    add("--top-p", type=float, default=0.95, metavar="X", help="share of the likeliest tokens to draw from (0.95)")
    add("--max-new-tokens", type=int, default=512, metavar="N", help="of an answer (512)")
    add("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    add("--margin", type=float, default=0.3, metavar="X", help="by which the best must be above the worst (0.3)")
    add("--max-prompts", type=int, default=1000, metavar="N", help="most prompts that are answered (1000)")
    add("--max-minutes", type=float, default=60.0, metavar="X", help="time for all answers (60)")
    add("--judge", metavar="MODEL", help="Bedrock model that compares text answers")
    add("--judge-max-tokens", type=int, default=500_000, metavar="N", help="that it may read and write in all (500000)")
    return parser
