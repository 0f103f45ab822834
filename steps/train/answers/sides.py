"""The model as one of the sides that answer: the base, the trained model, the champion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from steps.train.answers.memory import room_on_gpu
from steps.train.answers.said import Side
from steps.train.evaluation import champion
from steps.train.evaluation.champion import Champion
from steps.train.evaluation.scorer import Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The attention of packed rows, and what computes whole sequences in its place.
WHOLE = {"packed_sdpa": "sdpa", "packed_varlen": "sdpa", "packed_flash": "flash_attention_2"}


def base(scorer: Scorer) -> PreTrainedModel:
    """The base as transformers loaded it, with the adapter's layers in it."""
    from steps.train.model.adapter import base_of

    return base_of(scorer.accelerator.unwrap_model(scorer.model))


def champions(scorer: Scorer, rival: Champion | None) -> tuple[bool, str | None]:
    """Whether there is a champion that can answer, and why one that there is cannot."""
    if rival is None:
        return False, None
    reason = rival.reason or champion.misfit(rival, scorer.accelerator.unwrap_model(scorer.model))
    return reason is None, reason


@contextmanager
def answering(scorer: Scorer) -> Iterator[None]:
    """Within, the model computes whole sequences, and nothing of it is random."""
    from steps.train.shared_prompts.model import whole_sequences

    model, wrapped = base(scorer), scorer.model_wrapped
    attention, training = model.config._attn_implementation, wrapped.training
    wrapped.eval()
    try:
        with whole_sequences(model, WHOLE.get(attention, attention)):
            yield
    finally:
        wrapped.train(training)


@contextmanager
def as_side(side: Side, scorer: Scorer, rival: Champion | None, cache_bytes: int) -> Iterator[None]:
    """Within, the model answers as that side. All ranks must call it together.

    Args:
        cache_bytes: what keys and values will take.
    """
    from trl.trainer.utils import use_adapter

    model = scorer.accelerator.unwrap_model(scorer.model)
    with ExitStack() as stack:
        if side == "champion":
            assert rival is not None  # `champions` said that there is one
            if champion.has_parameters(rival):
                stack.enter_context(champion.exchanged(rival, model))
            else:
                stack.enter_context(use_adapter(model, adapter_name=None))
                stack.enter_context(champion.applied(rival, model, scorer))
        elif side == "base":
            stack.enter_context(use_adapter(model, adapter_name=None))
        stack.enter_context(_gathered(scorer, cache_bytes))
        # Innermost: it remembers the adapter's weights in its own dtype, which another side changes.
        stack.enter_context(scorer.accelerator.autocast())
        yield


@contextmanager
def _gathered(scorer: Scorer, cache_bytes: int) -> Iterator[None]:
    """Within, the shards of a model are gathered once and not for every token, where that takes no more memory than
    training did."""
    from torch.distributed.fsdp import FSDPModule

    model = scorer.model_wrapped
    if not isinstance(model, FSDPModule) or not _has_room(scorer, cache_bytes):
        yield
        return
    model.set_reshard_after_forward(False)
    try:
        yield
    finally:
        model.set_reshard_after_forward(True)
        for module in scorer.model_wrapped.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def _has_room(scorer: Scorer, cache_bytes: int) -> bool:
    """Whether every rank has room for the whole model; on CPUs, where models are small, always."""
    from steps.train.runtime import ranks

    device = scorer.args.device
    if device.type != "cuda":
        return True
    whole = sum(parameter.numel() * parameter.element_size() for parameter in scorer.model.parameters())
    return all(ranks.gather(whole + cache_bytes <= room_on_gpu(device)))
