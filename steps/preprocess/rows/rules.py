"""What the step is asked to do with each row: the part of the options that a worker process needs. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ToolCalls = Literal["quarantine", "keep"]
Pairs = Literal["best_worst", "best_vs_rest", "all"]


@dataclass(frozen=True)
class Pairing:
    """Which pairs a list of scored answers becomes.

    Attributes:
        pairs: the best answer against the worst, against all others, or every two.
        min_score_difference: answers that differ by less are a tie, as equal ones are; of ranks, the ranks between.
        max_pairs: most pairs of one list, those that differ most; None for all.
    """

    pairs: Pairs = "best_worst"
    min_score_difference: float = 0
    max_pairs: int | None = None


@dataclass(frozen=True)
class Rules:
    """How rows are read, judged and split; the same rules give the same result in any process.

    Attributes:
        columns: the step's name of a field -> the name that the user's rows have for it.
        ignore_fields: fields that mean nothing to the pair, whatever is known of their names.
        format: the layout of all files, instead of telling each file's from its rows.
        pairing: which pairs a list of scored answers becomes.
        tool_calls: what becomes of a row whose prompt or chosen answer makes a faulty call.
        merge_turns: whether turns that follow one by the same speaker are joined to it.
        strip_prompt: whether a prompt that an answer begins with is removed there.
        validation_fraction: share of the prompts that is held out; None where the user brings a validation set.
        max_characters: longest row: prompt with its tools, and the longer answer.
        tokenizer: folder of the tokenizer that counts tokens.
        chat_template_kwargs: what its chat template may ask for besides, a JSON object.
        max_tokens: longest row, in tokens of the chat template's text.
        near_duplicates: whether prompts are made comparable with each other.
    """

    columns: dict[str, str] = field(default_factory=dict)
    ignore_fields: tuple[str, ...] = ()
    format: str | None = None
    pairing: Pairing = Pairing()
    tool_calls: ToolCalls = "quarantine"
    merge_turns: bool = False
    strip_prompt: bool = False
    validation_fraction: float | None = 0.1
    max_characters: int | None = None
    tokenizer: Path | None = None
    chat_template_kwargs: str = "{}"
    max_tokens: int | None = None
    near_duplicates: bool = False
