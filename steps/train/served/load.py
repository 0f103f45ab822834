"""The trained adapter on the unquantised base, on the devices that trained it: who serves it loads this form.

It is what a training with `load_in_4bit: false` would have after its last step, made by the same code: the same
attention, packed rows and sharding, so that nothing but the base's weights differs. It takes no step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from steps.train.loop.trainer import PairTrainer
from steps.train.model import adapter
from steps.train.model.load import load_base
from steps.train.model.lora import FittedAdapter, lora_config

if TYPE_CHECKING:
    from steps.train.rows.tokenise import Pair

# What of a recipe is another thing here; the others but the first are about steps, and none is taken.
CHANGES: dict[str, Any] = {
    "load_in_4bit": False, "group_by_prompt": False, "max_tokens_per_batch": None, "precompute_ref_log_probs": False,
}  # fmt: skip


def load(trained: PairTrainer, pairs: Sequence[Pair], fitted: FittedAdapter, folder: Path) -> PairTrainer:
    """A scorer of the served form. All ranks must call it together, with the trained model released before.

    Args:
        trained: the training's; it says how this one is made.
        pairs: the rows to score.
        fitted: where the adapter goes on this base.
        folder: of the saved adapter; the first rank reads it.

    Raises:
        StepError: the base or the adapter cannot be loaded.
    """
    arguments = trained.arguments.model_copy(update=CHANGES)
    scorer = PairTrainer(
        arguments,
        load_base(arguments, fitted.attention),
        trained.processing_class,
        pairs,
        trained.args,
        trained.marker,
        lora_config(arguments, fitted.places),
    )
    scorer.interruption = trained.interruption  # the one that listens
    scorer.model = scorer.model_wrapped = _placed(scorer)
    adapter.load(scorer.model, folder)
    scorer.model.eval()
    return scorer


def _placed(scorer: PairTrainer) -> Any:
    """The model on its device, and sharded where training shards."""
    model, accelerator = scorer.model, scorer.accelerator
    if not scorer.is_fsdp_enabled:
        return accelerator.prepare_model(model, evaluation_mode=True)
    # accelerate shards a model together with its optimizer alone; this one has no state and is never stepped.
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return accelerator.prepare(model, torch.optim.SGD(weights, lr=0.0))[0]
