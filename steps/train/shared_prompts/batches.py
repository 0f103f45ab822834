"""Which pairs an optimizer step sees, and in which forward passes, where packed rows decide (`group_by_prompt`,
`max_tokens_per_batch`); otherwise batches are made by transformers, as TRL's are.

A step has as many pairs as ever: per_device_train_batch_size * gradient_accumulation_steps * processes. Only how they
are shared out changes. With `group_by_prompt` the prompts are shuffled and their pairs stand together, but for the
copies of a pair (`feedback_weight`), which would make one large step of it; otherwise the pairs are shuffled. With
`max_tokens_per_batch` a forward pass takes as many of the next pairs as fit; otherwise per_device_train_batch_size. The
order is a pure function of rows, seed and epoch, so that a run that continues and every rank know it. In each pass all
ranks have the same number of pairs, since TRL gathers its metrics by pairs (which are means over passes, whatever each
holds), and about as many tokens, since they wait for each other. Where the last step's pairs cannot be shared out
evenly, pairs from the epoch's beginning fill it up, as accelerate fills up batches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from steps.shared.contract import StepError
from steps.train.rows.tokenise import Pair
from steps.train.shared_prompts.row import Sizes

Batch = list[int]  # places of pairs among the rows


@dataclass(frozen=True)
class Order:
    """How steps are made.

    Attributes:
        pairs: of an optimizer step, on all ranks together.
        per_batch: of a rank's forward pass, where there is no `budget`.
        budget: tokens of a forward pass's row at most.
    """

    pairs: int
    per_batch: int
    budget: int | None
    grouped: bool
    seed: int
    ranks: int = 1

    def epoch(self, sizes: Sizes, epoch: int) -> list[Batch]:
        """The rows of each step of an epoch, in their order."""
        draw = random.Random(f"{self.seed}/{epoch}")
        rows = list(range(len(sizes)))
        draw.shuffle(rows)
        if self.grouped:
            first: dict[tuple[int, int], int] = {}
            for place, row in enumerate(rows):
                first.setdefault(sizes.groups[row], place)
            rows.sort(key=lambda row: first[sizes.groups[row]])  # stable: a prompt's pairs keep their shuffled order
        missing = -len(rows) % self.ranks
        rows += (rows * math.ceil(missing / len(rows)))[:missing]
        return [rows[start : start + self.pairs] for start in range(0, len(rows), self.pairs)]

    def passes(self, rows: Batch, sizes: Sizes) -> list[list[Batch]]:
        """A step's forward passes, the largest first: in each, every rank's pairs."""
        batches: list[Batch] = []
        while rows:
            count = self._count(rows, sizes)
            batches += [rows[rank * count : (rank + 1) * count] for rank in range(self.ranks)]
            rows = rows[self.ranks * count :]
        batches.sort(key=lambda batch: (len(batch), sizes.of(batch)), reverse=True)
        loads = [0] * self.ranks
        found = []
        for start in range(0, len(batches), self.ranks):
            least = sorted(range(self.ranks), key=lambda rank: loads[rank])
            together: list[Batch] = [[]] * self.ranks
            for rank, batch in zip(least, batches[start : start + self.ranks], strict=True):
                together[rank] = batch
                loads[rank] += sizes.of(batch)
            found.append(together)
        return found

    def _count(self, rows: Batch, sizes: Sizes) -> int:
        """Pairs that every rank takes of these in one pass: with a budget, fewer until each rank's fit it."""
        count = len(rows) // self.ranks
        if self.budget is None:
            return min(self.per_batch, count)
        fits = False
        while not fits:
            fits = True
            for rank in range(self.ranks):
                fitting = sizes.fitting(rows[rank * count : (rank + 1) * count], self.budget)
                if fitting < count:  # with fewer pairs a rank, the other ranks' are other pairs: look at all again
                    count, fits = fitting, False
                    break
        return count


class Steps:
    """The steps of an epoch as a dataset whose items are one rank's forward passes, each a list of the collator's rows.

    Each pass comes with its `share`, the weight of its loss in the step: the gradient is the mean over all pairs.
    """

    def __init__(self, pairs: Sequence[Pair], order: Order, rank: int):
        """
        Raises:
            StepError: a pair alone is over the budget.
        """
        self.pairs, self.order, self.rank = pairs, order, rank
        self.sizes = Sizes(pairs)
        largest = max(range(len(pairs)), key=lambda row: self.sizes.of([row]))
        if order.budget is not None and self.sizes.of([largest]) > order.budget:
            raise StepError(
                f"max_tokens_per_batch: {order.budget}: a pair alone takes {self.sizes.of([largest])} tokens (row "
                f"{pairs[largest].id}); raise it to that at least, or lower max_length"
            )
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        self._steps = self.order.epoch(self.sizes, epoch)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, step: int) -> list[tuple[float, list[dict[str, Any]]]]:
        """This rank's passes of a step: of each its share, and its rows as the collator reads them."""
        rows = self._steps[step]
        mine = [ranks[self.rank] for ranks in self.order.passes(rows, self.sizes)]
        return [
            (len(batch) * self.order.ranks / len(rows), [vars(self.pairs[row]) | {"row": row} for row in batch])
            for batch in mine
        ]


@dataclass(frozen=True)
class StepCollator:
    """One step of `Steps` as batches, each with its `share`."""

    collate: Callable[[list[dict[str, Any]]], dict[str, Any]]

    def __call__(self, steps: list[list[tuple[float, list[dict[str, Any]]]]]) -> list[dict[str, Any]]:
        (step,) = steps
        return [self.collate(rows) | {"share": share} for share, rows in step]
