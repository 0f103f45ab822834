"""Free the trained model, so that another form of it has the memory that training had.

Who keeps the model alive: the trainer, its optimizer and schedule, accelerate's lists of what it prepared, and what
transformers hands to callbacks. Its own forward was replaced by methods that are bound to it, so that it is part of
cycles, which only the garbage collector takes apart.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from steps.train.loop.trainer import PairTrainer


def release(trainer: PairTrainer) -> None:
    """Let go of the model and of all that a step needs; what the trainer knows of the run stays.

    The trainer computes nothing any more after this.
    """
    holder = cast("Any", trainer)  # their types know no None, and nobody asks for them after this
    holder.model = holder.model_wrapped = None
    holder.optimizer = holder.lr_scheduler = None
    handler = cast("Any", trainer.callback_handler)
    handler.model = handler.optimizer = handler.lr_scheduler = None
    accelerator = trainer.accelerator
    # Not its free_memory: that collects garbage before it empties these lists, so that it had to be done again.
    for prepared in (accelerator._models, accelerator._optimizers, accelerator._schedulers):
        prepared.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
