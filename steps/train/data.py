"""Preference records -> token ids, before any weight is loaded.

A pair's ids are the chat template's full render of prompt + answer, split where the prompt's render ends. A row whose
prompt render is not a prefix of the full render would be trained on a text that inference never sees: it is left out
and named. In an answer of several turns only the assistant's own tokens enter the loss; tool results stay visible and
unmasked they would be learned. Rows over `max_length` follow the explicit truncation policy and are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from steps.contract import StepError
from steps.records import Record

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

EXAMPLES = 5  # places named per reason


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


@dataclass
class Left:
    """Rows that do not train as they are, counted by reason, the first few with their place."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, place: str) -> None:
        self.counts[reason] += 1
        if len(self.places.setdefault(reason, [])) < EXAMPLES:
            self.places[reason].append(place)

    def merge(self, other: Left) -> None:
        self.counts.update(other.counts)
        for reason, places in other.places.items():
            self.places[reason] = [*self.places.get(reason, []), *places][:EXAMPLES]

    def lines(self) -> list[str]:
        return [f"{reason}: {n} rows, such as {', '.join(self.places[reason])}" for reason, n in self.counts.items()]


class TemplateMismatch(Exception):
    """The chat template renders the prompt alone differently from the prompt before an answer."""


def tokenise(
    records: Sequence[Record],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Literal["drop", "cut_prompt"],
) -> tuple[list[Pair | None], Left]:
    """Token ids of every record, `None` where a row is left out, and the account of the rows left out or cut."""
    pairs: list[Pair | None] = []
    left = Left()
    for record in records:
        place = f"{record.source_file}:{record.source_line}"
        try:
            pair: Pair | None = _pair(record, tokenizer)
        except TemplateMismatch:
            left.add("template_mismatch", place)
            pair = None
        if pair is not None and pair.tokens > max_length:
            pair = _cut_prompt(pair, max_length) if truncation == "cut_prompt" else None
            left.add("prompt_cut" if pair else "too_long", place)
        pairs.append(pair)
    return pairs, left


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


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    *,
    generation: bool = False,
) -> list[int]:
    rendered = tokenizer.apply_chat_template(
        messages, tools=tools, add_generation_prompt=generation, tokenize=True, return_dict=True
    )
    return list(rendered["input_ids"])


def _cut_prompt(pair: Pair, max_length: int) -> Pair | None:
    """The pair with its prompt cut from the left to fit, or None when the answers alone leave no room for it."""
    room = max_length - max(len(pair.chosen_ids), len(pair.rejected_ids))
    if room < 1:
        return None
    return replace(pair, prompt_ids=pair.prompt_ids[-room:])


def as_dataset(pairs: Sequence[Pair]) -> Dataset:
    """The pairs as the columns that the collator reads."""
    from datasets import Dataset

    columns = ("prompt_ids", "chosen_ids", "chosen_mask", "rejected_ids", "rejected_mask")
    return Dataset.from_dict({name: [getattr(pair, name) for pair in pairs] for name in columns})


def require_rows(pairs: Sequence[Pair], split: str, left: Left, max_length: int) -> None:
    """
    Raises:
        StepError: no row of a split is left to train or evaluate on.
    """
    if pairs:
        return
    reasons = "; ".join(left.lines()) or "the folder holds no rows"
    mend = f"; raise max_length (now {max_length}) or set truncation: cut_prompt" if left.counts["too_long"] else ""
    raise StepError(f"{split}: no row can be used: {reasons}{mend}")
