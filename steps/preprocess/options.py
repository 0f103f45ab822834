"""What the command line of Preprocess asks for: its parser, its options, and the checks that need no data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_args

from steps.preprocess.layouts.formats import FORMATS, by_name
from steps.preprocess.read.sources import BLOCK_BYTES
from steps.preprocess.rows.rules import Pairing, Pairs, Rules, ToolCalls
from steps.shared.contract import StepError
from steps.shared.folders import require_outside

FIELDS = ("prompt", "chosen", "rejected", "tools", "system", "messages", "conversations", "chosen_response",
          "rejected_response", "better_response_id")  # fmt: skip


@dataclass(frozen=True)
class Options:
    """One option of the command line each; see `python -m steps.preprocess --help`."""

    input: Path
    output: Path
    validation_fraction: float = 0.1
    validation_data: Path | None = None
    feedback_data: Path | None = None
    candidate_data: Path | None = None
    canary: Path | None = None
    min_validation_rows: int = 1
    max_invalid_fraction: float = 0.1
    format: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    ignore_fields: tuple[str, ...] = ()
    pairs: Pairs = "best_worst"
    min_score_difference: float = 0
    max_pairs: int | None = None
    tool_calls: ToolCalls = "quarantine"
    merge_turns: bool = False
    strip_prompt: bool = False
    near_duplicates: float | None = None
    tokenizer: Path | None = None
    chat_template_kwargs: str = "{}"
    max_tokens: int | None = None
    max_characters: int | None = None
    baseline: Path | None = None
    workers: int | None = None
    shard_bytes: int = BLOCK_BYTES

    def check(self) -> None:
        """Raises StepError for a value out of range, or options that do not go together."""
        if not 0 < self.validation_fraction < 1:
            raise StepError(f"--validation-fraction {self.validation_fraction}: must be above 0 and below 1")
        if not 0 <= self.max_invalid_fraction <= 1:
            raise StepError(f"--max-invalid-fraction {self.max_invalid_fraction}: must be from 0 to 1")
        if self.format is not None and by_name(self.format) is None:
            names = ", ".join(layout.name for layout in FORMATS)
            raise StepError(f"--format {self.format}: unknown layout; known: {names}")
        for name in self.columns:
            if name not in FIELDS:
                raise StepError(f"--column {name}={self.columns[name]}: no field {name}; known: {', '.join(FIELDS)}")
        if self.near_duplicates is not None and not 0.5 <= self.near_duplicates <= 1:
            raise StepError(f"--near-duplicates {self.near_duplicates}: must be a similarity from 0.5 to 1")
        if not self.min_score_difference >= 0:
            raise StepError(f"--min-score-difference {self.min_score_difference}: must be at least 0")
        if not _is_object(self.chat_template_kwargs):
            raise StepError(
                f"--chat-template-kwargs {self.chat_template_kwargs}: must be a JSON object, such as "
                '{"enable_thinking": false}'
            )
        if self.max_tokens is not None and self.tokenizer is None:
            raise StepError("--max-tokens needs --tokenizer; without one give --max-characters")
        for name in ("min_validation_rows", "max_tokens", "max_characters", "max_pairs", "workers", "shard_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise StepError(f"--{name.replace('_', '-')} {value}: must be at least 1")
        require_outside(
            self.output, self.input, self.validation_data, self.feedback_data, self.candidate_data, self.canary
        )

    def rules(self) -> Rules:
        return Rules(
            columns=self.columns,
            ignore_fields=self.ignore_fields,
            format=self.format,
            pairing=Pairing(self.pairs, self.min_score_difference, self.max_pairs),
            tool_calls=self.tool_calls,
            merge_turns=self.merge_turns,
            strip_prompt=self.strip_prompt,
            validation_fraction=None if self.validation_data else self.validation_fraction,
            max_characters=self.max_characters,
            tokenizer=self.tokenizer,
            chat_template_kwargs=self.chat_template_kwargs,
            max_tokens=self.max_tokens,
            near_duplicates=self.near_duplicates is not None,
        )

    @property
    def units(self) -> tuple[str, ...]:
        """What lengths are counted in."""
        return ("characters", "tokens") if self.tokenizer else ("characters",)

    def as_json(self) -> dict[str, Any]:
        """The options as a report keeps them; paths, which differ from machine to machine, by their last name."""
        return {
            "validation_fraction": None if self.validation_data else self.validation_fraction,
            "validation_data": self.validation_data.name if self.validation_data else None,
            **({"feedback_data": self.feedback_data.name} if self.feedback_data else {}),
            **({"candidate_data": self.candidate_data.name} if self.candidate_data else {}),
            **({"canary": self.canary.name} if self.canary else {}),
            "min_validation_rows": self.min_validation_rows,
            "max_invalid_fraction": self.max_invalid_fraction,
            "format": self.format,
            "columns": self.columns,
            "ignore_fields": list(self.ignore_fields),
            "pairs": self.pairs,
            "min_score_difference": self.min_score_difference,
            "max_pairs": self.max_pairs,
            "tool_calls": self.tool_calls,
            **{name: True for name in ("merge_turns", "strip_prompt") if getattr(self, name)},
            "near_duplicates": self.near_duplicates,
            "tokenizer": self.tokenizer.name if self.tokenizer else None,
            **({} if self.chat_template_kwargs == "{}" else {"chat_template_kwargs": self.chat_template_kwargs}),
            "max_tokens": self.max_tokens,
            "max_characters": self.max_characters,
        }


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False


class Parser(argparse.ArgumentParser):
    """Reports a bad argument like any other failure, so that the reason reaches SageMaker too."""

    def error(self, message: str) -> NoReturn:
        raise StepError(f"{self.prog}: {message}; see --help")


def parse(arguments: Sequence[str] | None = None, prog: str = "python -m steps.preprocess") -> Options:
    """
    Raises:
        StepError: an argument that does not exist or has a value of another type.
    """
    given = vars(_parser(prog).parse_args(arguments))
    given["columns"] = dict(given.pop("column") or ())
    given["ignore_fields"] = tuple(given.pop("ignore_field") or ())
    return Options(**given)


def _column(text: str) -> tuple[str, str]:
    name, equals, given = text.partition("=")
    if not (name and equals and given):
        raise argparse.ArgumentTypeError(f"{text!r} must be FIELD=NAME, such as prompt=question")
    return name, given


def _parser(prog: str) -> argparse.ArgumentParser:
    layouts = "\n".join(f"  {layout.name:<16} {layout.description}" for layout in FORMATS)
    parser = Parser(
        prog=prog,
        allow_abbrev=False,
        description="Turn preference data into a training and a validation set, with every row accounted for.",
        epilog=f"layouts, told from each file's rows unless --format names one:\n{layouts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--input", type=Path, required=True, metavar="PATH", help="a data file, or a folder of them")
    add("--output", type=Path, required=True, metavar="DIR", help="where the four parts are written")
    add("--validation-fraction", type=float, default=0.1, metavar="X", help="share of the prompts held out (0.1)")
    add("--validation-data", type=Path, metavar="PATH", help="hold out this data instead; its prompts leave --input")
    add("--feedback-data", type=Path, metavar="DIR", help="pairs that Collect wrote, beside --input")
    add("--candidate-data", type=Path, metavar="DIR", help="pairs that Candidates wrote, beside --input")
    add("--canary", type=Path, metavar="PATH", help="held out too, always the same; its prompts leave --input")
    add("--min-validation-rows", type=int, default=1, metavar="N", help="fail with fewer rows held out (1)")
    add("--max-invalid-fraction", type=float, default=0.1, metavar="X", help="fail beyond this share of bad rows (0.1)")
    add("--format", metavar="NAME", help="read all files by this layout")
    add("--column", action="append", type=_column, metavar="FIELD=NAME", help="the rows call this field NAME")
    add("--ignore-field", action="append", metavar="NAME", help="a field that means nothing, such as documents")
    add("--pairs", choices=get_args(Pairs), default="best_worst", help="pairs of a list of scored answers (best_worst)")
    add("--min-score-difference", type=float, default=0, metavar="X", help="answers of a list closer than this tie (0)")
    add("--max-pairs", type=int, metavar="N", help="most pairs of a list, those that differ most")
    add(
        "--tool-calls",
        choices=("quarantine", "keep"),
        default="quarantine",
        help="rows whose chosen answer calls tools wrongly (quarantine)",
    )
    add("--merge-turns", action="store_true", help="join turns that follow one by the same speaker")
    add("--strip-prompt", action="store_true", help="remove a prompt that an answer begins with")
    add("--near-duplicates", type=float, metavar="X", help="leave out prompts this similar (0.5 to 1) to earlier ones")
    add("--tokenizer", type=Path, metavar="DIR", help="count tokens with this model's tokenizer and chat template")
    add("--chat-template-kwargs", default="{}", metavar="JSON", help="what the recipe gives to the chat template")
    add("--max-tokens", type=int, metavar="N", help="quarantine longer rows: prompt and longer answer")
    add("--max-characters", type=int, metavar="N", help="the same in characters")
    add("--baseline", type=Path, metavar="DIR", help="an earlier run's report folder, to compare with")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add("--shard-bytes", type=int, default=BLOCK_BYTES, metavar="N", help="input that becomes one file (16 MiB)")
    return parser
