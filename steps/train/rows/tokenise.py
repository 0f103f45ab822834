"""Preference records -> token ids, before any weight is loaded.

A pair's ids are the chat template's full render of prompt + answer, split where the prompt's render ends. A row whose
prompt render is not a prefix of the full render would be trained on a text that inference never sees: it is left out
and named. In an answer of several turns only the assistant's own tokens enter the loss; tool results stay visible and
unmasked they would be learned. Rows over `max_length` follow the explicit truncation policy, are counted, and every
one of them is listed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steps.shared.chat_template import TemplateMismatch, TemplateRefused, render
from steps.shared.contract import StepError, write_text
from steps.shared.records import Record

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

EXAMPLES = 5  # places named per reason in the log
LEFT_OUT = "left_out.jsonl"  # the list of all of them, in the output folder


@dataclass(frozen=True)
class Pair:
    """One tokenised pair. `*_mask` is 1 where a token of the answer counts in the loss; `format` is the layout that the
    row had in the raw data, and `with_tools` says whether it declares any."""

    id: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    chosen_mask: list[int]
    rejected_ids: list[int]
    rejected_mask: list[int]
    format: str
    with_tools: bool

    @property
    def tokens(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))


@dataclass(frozen=True)
class LeftRow:
    """A row that does not train as it is.

    Attributes:
        index: place of the row among those that one process tokenised.
        reason: too_long, prompt_cut, template_mismatch or template_refused.
        detail: what the chat template says of a row that it refuses.
        prompt_tokens, chosen_tokens, rejected_tokens: before any cut; None where the template tells no answer's tokens.
    """

    index: int
    id: str
    source_file: str
    source_line: int
    reason: str
    detail: str | None = None
    prompt_tokens: int | None = None
    chosen_tokens: int | None = None
    rejected_tokens: int | None = None

    @property
    def place(self) -> str:
        return f"{self.source_file}:{self.source_line}"


@dataclass
class Left:
    """The rows of a split that do not train as they are, every one of them, in the order of the rows."""

    rows: list[LeftRow] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        return Counter(row.reason for row in self.rows)

    @property
    def places(self) -> dict[str, list[str]]:
        """Where the first few rows of each reason stand."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            places = found.setdefault(row.reason, [])
            if len(places) < EXAMPLES:
                places.append(row.place)
        return found

    @classmethod
    def of_ranks(cls, parts: Sequence[Left]) -> Left:
        """The whole account, where rank r of n tokenised the rows r, r + n, r + 2n, …"""
        ranked = [(row.index, rank, row) for rank, part in enumerate(parts) for row in part.rows]
        return cls([row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])])

    def lines(self) -> list[str]:
        """A line for each reason with the places of the first few rows."""
        places, details = self.places, {row.reason: f" ({row.detail})" for row in reversed(self.rows) if row.detail}
        return [
            f"{reason}{details.get(reason, '')}: {count} rows, such as {', '.join(places[reason])}"
            for reason, count in self.counts.items()
        ]


def write_left_out(path: Path, splits: Mapping[str, Left], max_length: int) -> bool:
    """List every row that is left out or cut, a JSON object a line; whether there is any, and so a file.

    A list that an earlier run left in the folder is replaced, or taken away.
    """
    rows = [
        {"split": split, **asdict(row), "max_length": max_length} for split, left in splits.items() for row in left.rows
    ]
    if not rows:
        path.unlink(missing_ok=True)
        return False
    for row in rows:
        del row["index"]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return True


def tokenise(
    records: Sequence[Record],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Literal["drop", "cut_prompt"],
) -> tuple[list[Pair | None], Left]:
    """Token ids of every record, `None` where a row is left out, and the account of the rows left out or cut."""
    pairs: list[Pair | None] = []
    left = Left()
    for index, record in enumerate(records):
        pair, problem = tokenise_record(record, tokenizer, max_length, truncation)
        pairs.append(pair)
        if problem:
            left.rows.append(replace(problem, index=index))
    return pairs, left


def tokenise_record(
    record: Record,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Literal["drop", "cut_prompt"],
) -> tuple[Pair | None, LeftRow | None]:
    """Token ids of a record, `None` where it is left out, and the reason why it is left out or cut."""
    found = LeftRow(0, record.id, record.source_file, record.source_line, "")
    try:
        pair = _pair(record, tokenizer)
    except TemplateMismatch:
        return None, replace(found, reason="template_mismatch")
    except TemplateRefused as error:
        return None, replace(found, reason="template_refused", detail=str(error))
    if pair.tokens <= max_length:
        return pair, None
    sizes = [len(ids) for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)]
    found = LeftRow(0, record.id, record.source_file, record.source_line, "too_long", None, *sizes)
    cut = _cut_prompt(pair, max_length) if truncation == "cut_prompt" else None
    return cut, replace(found, reason="prompt_cut") if cut else found


def _pair(record: Record, tokenizer: PreTrainedTokenizerBase) -> Pair:
    prompt = render(tokenizer, record.prompt, record.tools, generation=True)
    chosen_ids, chosen_mask = _answer(tokenizer, record.prompt, record.chosen, record.tools, prompt)
    rejected_ids, rejected_mask = _answer(tokenizer, record.prompt, record.rejected, record.tools, prompt)
    return Pair(
        record.id, prompt, chosen_ids, chosen_mask, rejected_ids, rejected_mask, record.format, bool(record.tools)
    )


def _answer(
    tokenizer: PreTrainedTokenizerBase,
    prompt: list[dict[str, Any]],
    answer: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    prompt_ids: list[int],
) -> tuple[list[int], list[int]]:
    """Ids and loss mask of the answer: what the full render holds after the prompt's render."""
    full = render(tokenizer, prompt + answer, tools)
    _require_prefix(prompt_ids, full)
    mask = [0] * len(full)
    for index, message in enumerate(answer):
        if message["role"] != "assistant":
            continue
        before = prompt + answer[:index]
        start = prompt_ids if index == 0 else render(tokenizer, before, tools, generation=True)
        end = full if index == len(answer) - 1 else render(tokenizer, [*before, message], tools)
        _require_prefix(start, full)
        _require_prefix(end, full)
        mask[len(start) : len(end)] = [1] * (len(end) - len(start))
    return full[len(prompt_ids) :], mask[len(prompt_ids) :]


def _require_prefix(part: list[int], whole: list[int]) -> None:
    if whole[: len(part)] != part:
        raise TemplateMismatch


def _cut_prompt(pair: Pair, max_length: int) -> Pair | None:
    """The pair with its prompt cut from the left to fit, or None when the answers alone leave no room for it."""
    room = max_length - max(len(pair.chosen_ids), len(pair.rejected_ids))
    if room < 1:
        return None
    return replace(pair, prompt_ids=pair.prompt_ids[-room:])


def as_dataset(pairs: Sequence[Pair]) -> Dataset:
    """The pairs as the columns that the collator reads; `row` is a pair's place among them."""
    from datasets import Dataset

    names = ("prompt_ids", "chosen_ids", "chosen_mask", "rejected_ids", "rejected_mask")
    columns: dict[str, list[Any]] = {name: [getattr(pair, name) for pair in pairs] for name in names}
    return Dataset.from_dict(columns | {"row": list(range(len(pairs)))})


def require_rows(pairs: Sequence[Pair], split: str, left: Left, max_length: int) -> None:
    """
    Raises:
        StepError: no row of a split is left to train or evaluate on.
    """
    if pairs:
        return
    reasons = "; ".join(left.lines()) or "the folder holds no rows"
    fix = f"; raise max_length (now {max_length}) or set truncation: cut_prompt" if left.counts["too_long"] else ""
    raise StepError(f"{split}: no row can be used: {reasons}{fix}")
