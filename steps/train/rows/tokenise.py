"""Preference records -> token ids, before any weight is loaded.

A row's texts, where its answers begin and what of them is learned come from steps/shared/templates: the prompt is what
inference sees, and a row of which the chat template leaves something out is left out here and named. A row's own
`chat_template_kwargs` come before the recipe's. Rows over
`max_length` follow the explicit truncation policy, are counted, and every one of them is listed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steps.shared.contract import StepError, write_text
from steps.shared.records import Record
from steps.shared.signs.phases import Count
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import NOTES, render_pair
from steps.shared.templates.refused import RowRefused
from steps.shared.templates.token_ids import pair_ids

if TYPE_CHECKING:
    from datasets import Dataset

EXAMPLES = 5  # places named per reason in the log
LEFT_OUT = "left_out.jsonl"  # the list of all of them, in the output folder
TRAINED = ("prompt_cut", *NOTES)  # reasons for which a row is listed that is trained on all the same


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
        reason: too_long, prompt_cut, one of templates.refused.MEANINGS, or one of templates.pair.NOTES.
        detail: what is missing, or what the chat template says of a row that it refuses.
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

    def without_trained(self) -> Left:
        """Those alone that are left out: not what is listed and trained on all the same."""
        return Left([row for row in self.rows if row.reason not in TRAINED])

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
    template: ChatTemplate,
    max_length: int,
    truncation: Literal["drop", "cut_prompt"],
    count: Count | None = None,
) -> tuple[list[Pair | None], Left]:
    """Token ids of every record, `None` where a row is left out, and the account of the rows left out or cut.

    Args:
        count: is told of each row.
    """
    pairs: list[Pair | None] = []
    left = Left()
    for index, record in enumerate(records):
        pair, problems = tokenise_record(record, template, max_length, truncation)
        pairs.append(pair)
        left.rows += [replace(problem, index=index) for problem in problems]
        if count:
            count.add(1)
    return pairs, left


def tokenise_record(
    record: Record,
    template: ChatTemplate,
    max_length: int,
    truncation: Literal["drop", "cut_prompt"],
) -> tuple[Pair | None, list[LeftRow]]:
    """Token ids of a record, `None` where it is left out, and the reasons why it is left out, cut or listed."""
    found = LeftRow(0, record.id, record.source_file, record.source_line, "")
    try:
        pair, reasons = _pair(record, template)
    except RowRefused as error:
        return None, [replace(found, reason=error.reason, detail=error.detail)]
    sizes = [len(ids) for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)]
    found = LeftRow(0, record.id, record.source_file, record.source_line, "too_long", None, *sizes)
    notes = [replace(found, reason=reason) for reason in reasons]
    if pair.tokens <= max_length:
        return pair, notes
    cut = _cut_prompt(pair, max_length) if truncation == "cut_prompt" else None
    return (cut, [*notes, replace(found, reason="prompt_cut")]) if cut else (None, [found])


def _pair(record: Record, template: ChatTemplate) -> tuple[Pair, tuple[str, ...]]:
    """The record's tokens, and what is to be said of it."""
    template = template.given(record.chat_template_kwargs)
    texts = render_pair(template, record.prompt, record.chosen, record.rejected, record.tools)
    ids = pair_ids(template, texts)
    sides = ids.chosen, ids.chosen_mask, ids.rejected, ids.rejected_mask
    return Pair(record.id, ids.prompt, *sides, record.format, bool(record.tools)), texts.notes


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
