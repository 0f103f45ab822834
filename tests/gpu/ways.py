"""The ways to take a training step that are compared, each as a trainer on a base of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from trl import DPOTrainer

from steps.train.arguments import TrainArguments
from steps.train.loop import checkpoints, collator
from steps.train.loop.config import trainer_config
from steps.train.loop.trainer import PairTrainer
from steps.train.metrics.throughput import Counter
from steps.train.model.load import load_base, load_tokenizer
from steps.train.model.lora import fit_adapter, lora_config
from steps.train.rows.tokenise import Pair, as_dataset
from steps.train.shared_prompts.row import Ids, Packed, pack

Sequences = Sequence[tuple[Ids, Ids, Ids]]
Pack = Callable[[Sequences], Packed]


class StockTrainer(DPOTrainer):
    """TRL's trainer as it is, on rows that are tokenised already; counts its tokens."""

    counter = Counter()

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def compute_loss(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
        self.counter.add(inputs)
        return super().compute_loss(model, inputs, *more, **named)


def trainer(arguments: TrainArguments, rows: Sequence[Pair], folder: Path, stock: bool = False) -> Any:
    """The trainer over a freshly loaded base: this project's, or TRL's."""
    tokenizer = load_tokenizer(arguments)
    fitted = fit_adapter(arguments)
    torch.manual_seed(0)
    base = load_base(arguments, fitted.attention, fitted.unquantised)
    config = trainer_config(arguments, folder)
    peft_config = lora_config(arguments, fitted.places)
    if stock:
        StockTrainer.counter = Counter()
        return StockTrainer(
            model=base, args=config, processing_class=tokenizer, train_dataset=as_dataset(rows),
            peft_config=peft_config,
        )  # fmt: skip
    marker = checkpoints.Marker("gpu", checkpoints.World(1, config.gradient_accumulation_steps))
    return PairTrainer(arguments, base, tokenizer, rows, config, marker, peft_config=peft_config)


@contextmanager
def packed_by(how: Pack) -> Iterator[None]:
    """Within, the collator's batches are packed this way."""
    before = collator.pack
    collator.pack = how  # type: ignore[assignment]
    try:
        yield
    finally:
        collator.pack = before


def without_sharing(sequences: Sequences) -> Packed:
    """A row in which every sequence has its prompt to itself."""
    return joined([[number] for number in range(len(sequences))], sequences)


def within_a_pair(sequences: Sequences) -> Packed:
    """A row in which a pair shares its prompt, and pairs share nothing.

    Args:
        sequences: the chosen sides of all pairs, then the rejected ones, as the collator has them.
    """
    pairs = len(sequences) // 2
    return joined([[number, number + pairs] for number in range(pairs)], sequences)


def joined(groups: Sequence[Sequence[int]], sequences: Sequences) -> Packed:
    """One row of several, each packed from the sequences with these numbers."""
    rows = [pack([sequences[number] for number in group]) for group in groups]
    tokens = scored = queries = keys = 0
    moved = []
    for row, group in zip(rows, groups, strict=True):
        moved.append(replace(
            row, scored=row.scored + tokens, source=row.source + scored, row=torch.tensor(group)[row.row],
            seen=row.seen + tokens, query_ends=row.query_ends + queries, key_ends=row.key_ends + keys,
        ))  # fmt: skip
        tokens, scored = tokens + row.tokens, scored + len(row.scored)
        queries, keys = queries + int(row.query_ends[-1]), keys + int(row.key_ends[-1])
    first, rest = moved[0], moved[1:]
    ends = {
        name: torch.cat([getattr(first, name), *(getattr(row, name)[1:] for row in rest)])
        for name in ("query_ends", "key_ends")
    }
    whole = {name: torch.cat([getattr(row, name) for row in moved], dim=1)
             for name in ("input_ids", "position_ids", "targets")}  # fmt: skip
    flat = {name: torch.cat([getattr(row, name) for row in moved])
            for name in ("scored", "source", "row", "column", "seen")}  # fmt: skip
    return Packed(
        **ends, **whole, **flat, sequences=len(sequences), longest=max(row.longest for row in rows),
        most_queries=max(row.most_queries for row in rows), most_keys=max(row.most_keys for row in rows),
        groups=tuple(group for row in rows for group in row.groups),
    )  # fmt: skip
