"""The trained adapter on the unquantised base, on the devices that trained it: who serves it loads this form.

It is what a training with `load_in_4bit: false` would have after its last step, made by the same code: the same
attention, packed rows and sharding, so that nothing but the base's weights differs. It takes no step.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from steps.train.loop.first_step import check_sharding
from steps.train.loop.trainer import PairTrainer
from steps.train.model import adapter
from steps.train.model.load import load_base
from steps.train.model.lora import lora_config

if TYPE_CHECKING:
    from steps.train.run import Run

log = logging.getLogger(__name__)

# What of a recipe is another thing here; the others but the first are about steps, and none is taken.
CHANGES: dict[str, Any] = {
    "load_in_4bit": False, "group_by_prompt": False, "max_tokens_per_batch": None, "precompute_ref_log_probs": False,
}  # fmt: skip


def load(run: Run) -> PairTrainer:
    """A scorer of the served form. All ranks must call it together, with the trained model released and its adapter
    saved; the first rank reads that.

    Raises:
        StepError: the base or the adapter cannot be loaded, or a parameter is not sharded.
    """
    trained = run.trainer  # how this one is made
    arguments = trained.arguments.model_copy(update=CHANGES)
    scorer = PairTrainer(
        arguments,
        load_base(arguments, run.fitted.attention),
        run.template.tokenizer,
        run.validation.pairs,
        trained.args,
        trained.marker,
        lora_config(arguments, run.fitted.places),
    )
    scorer.interruption = trained.interruption  # the one that listens
    scorer.model = scorer.model_wrapped = _placed(scorer)
    if scorer.is_fsdp_enabled:
        log.info("as served: %s", check_sharding(scorer.model, scorer.args.world_size))
    adapter.load(scorer.model, run.output)
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
