"""Reference log-probabilities of the training rows, computed once before the first step (precompute_ref_log_probs).

The reference does not change during a run, so neither do its log-probabilities, and a step without its forward pass is
shorter. TRL's own precomputing runs before FSDP has sharded the model and fails there; here the model is the one that
trains, in evaluation mode, and TRL's losses get the sums from the batch as they do from TRL's own. All of its losses
read the reference as the sum of an answer.

The held-out rows are not among them: the evaluation computes their reference once a run, in the very batches in which
it computes the policy, so that an untrained policy ties with it exactly. Values of other batches differ by rounding.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from steps.shared.contract import StepError
from steps.shared.signs.phases import Count
from steps.shared.weights.identity import identity
from steps.train.arguments import TrainArguments
from steps.train.evaluation import log_probs
from steps.train.evaluation.scorer import Sums, Weights
from steps.train.loop import fingerprint
from steps.train.loop.reference_cache import FOLDER, Cache, row_hash
from steps.train.loop.trainer import PairTrainer, rounding
from steps.train.model.load import attention_implementation
from steps.train.model.shape import base_folder
from steps.train.rows.tokenise import Pair
from steps.train.runtime import ranks
from steps.train.runtime.interruption import Interrupted

log = logging.getLogger(__name__)

PART = 1024  # rows after which values are kept and progress is logged


class ReferenceLogProbs(TrainerCallback):
    """Fills the collator's table of reference sums before the first step: from the cache, and what it lacks from the
    model, each rank its share. Must be added before the callbacks that measure time."""

    def __init__(self, trainer: PairTrainer, pairs: Sequence[Pair], cache: Cache | None):
        """
        Args:
            pairs: the training rows, in the order of the trainer's dataset.
            cache: on the first rank; None on the others.
        """
        self.trainer, self.pairs, self.cache = trainer, pairs, cache

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        hashes = [row_hash(pair) for pair in self.pairs]
        rows = dict(zip(hashes, self.pairs, strict=True))
        if self.trainer.is_fsdp_enabled:
            # FSDP2 sees in its first forward pass which weights train (torch's lazy_init), and peft lets none of them
            # while the reference runs: the gradients would later be reduced in bfloat16.
            self._compute(self.pairs[:1], "trained")
        known = self._known(rows)
        if known:
            self._check(known, rows)
        missing = {row: pair for row, pair in rows.items() if row not in known}
        if self.cache:
            where = (self.cache.folder, self.cache.key)
            log.info("reference log-probs: %d of %d rows known in %s, key %s", len(known), len(rows), *where)
        known |= self._compute_all(missing)
        table = self.trainer.data_collator.reference
        assert table is not None  # the trainer makes it where the arguments ask for a precomputed reference
        table.copy_(torch.tensor([known[row] for row in hashes]))

    def _known(self, rows: Mapping[bytes, Pair]) -> dict[bytes, Sums]:
        def read() -> dict[bytes, Sums]:
            known = self.cache.read() if self.cache else {}
            return {row: sums for row, sums in known.items() if row in rows}

        return ranks.done_by_first(read)

    def _compute_all(self, rows: Mapping[bytes, Pair]) -> dict[bytes, Sums]:
        """Part by part, the longest rows first, so that a lack of memory shows at once; each part is kept."""
        order = sorted(rows, key=lambda row: (-rows[row].tokens, row))
        found: dict[bytes, Sums] = {}
        started, count = time.perf_counter(), Count("reference log-probs", len(order))
        for start in range(0, len(order), PART):
            try:
                computed = self._compute([rows[row] for row in order[start : start + PART]], count=count)
            except Interrupted:
                raise Interrupted(
                    f"stopped by SIGTERM before the first step; the reference log-probs of {len(found)} rows are kept"
                ) from None
            _require_finite(computed, rows)
            found |= self._keep(computed)
            speed = len(found) / (time.perf_counter() - started)
            log.info("reference log-probs: %d of %d rows computed, %.1f rows/s", len(found), len(order), speed)
        return found

    def _keep(self, computed: dict[bytes, Sums]) -> dict[bytes, Sums]:
        cache = self.cache
        return ranks.done_by_first(lambda: cache.add(computed) if cache else computed)

    def _compute(
        self, pairs: Sequence[Pair], weights: Weights = "reference", count: Count | None = None
    ) -> dict[bytes, Sums]:
        """The sums of the pairs, on every rank."""
        batches = log_probs.share(self.trainer, pairs, self.trainer.arguments.per_device_eval_batch_size)
        mine = [row_hash(pair) for batch in batches for pair in batch]
        found = dict(zip(mine, log_probs.sums(self.trainer, batches, weights, count), strict=True))
        return {row: sums for part in ranks.gather(found) for row, sums in part.items()}

    def _check(self, known: Mapping[bytes, Sums], rows: Mapping[bytes, Pair]) -> None:
        """Compute a few of the known rows again, a batch a rank.

        Raises:
            StepError: their values are not this model's.
        """
        batch = self.trainer.arguments.per_device_eval_batch_size * self.trainer.args.world_size
        again = self._compute([rows[row] for row in sorted(known)[:batch]])
        apart = sum(abs(one - other) for row in again for one, other in zip(known[row], again[row], strict=True))
        tokens = sum(sum(rows[row].chosen_mask) + sum(rows[row].rejected_mask) for row in again)
        log.info(
            "reference log-probs: %d known rows computed again, %.2g nats a token apart", len(again), apart / tokens
        )
        if not apart / tokens <= rounding(self.trainer.arguments):
            where = f"{self.cache.folder} are" if self.cache else "the cache are"
            raise StepError(
                f"ref_log_probs_cache: the values in {where} {apart / tokens:.2g} nats a token from this model's: they "
                "are of other weights; name another folder, or empty this one"
            )


def _require_finite(computed: Mapping[bytes, Sums], rows: Mapping[bytes, Pair]) -> None:
    """
    Raises:
        StepError: a row's sum is NaN or infinite; on every rank, since all see the same rows.
    """
    broken = [rows[row].id for row, sums in computed.items() if not all(map(math.isfinite, sums))]
    if broken:
        raise StepError(
            f"the reference gives {len(broken)} of {len(computed)} training rows a log-probability that is not finite, "
            f"first row {min(broken)}; check bf16 and the model's weights"
        )


def open_cache(arguments: TrainArguments, checkpoints: Path, initial: str | None) -> Cache:
    """The cache of this model under these settings.

    Args:
        checkpoints: the folder of the run's checkpoints, where the cache lies if none is named.
        initial: hash of the initial adapter; None without one.

    Raises:
        StepError: the cache cannot be made, or the model's weights are not whole.
    """
    named = arguments.ref_log_probs_cache
    facts = {
        "model": identity(base_folder(arguments)),
        "initial_adapter": initial,
        "load_in_4bit": arguments.load_in_4bit,
        "bnb_4bit_use_double_quant": arguments.load_in_4bit and arguments.bnb_4bit_use_double_quant,
        "bf16": arguments.bf16,
        "attention": attention_implementation(arguments),
        "fsdp": arguments.fsdp,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "libraries": fingerprint.versions(),
    }
    return Cache(Path(named) if named else checkpoints / FOLDER, facts)
