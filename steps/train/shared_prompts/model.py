"""Lets a model with TRL's fused LM head take packed batches (`shared_prompts.row`), or says why it cannot.

TRL's trainer calls `model(input_ids=…, labels=…, fused_lm_head=True)` and reads values a token of a batch of whole
sequences. Here that forward, where the batch has a `packed` row, computes the row instead and lays the values where
TRL reads them: every loss, the reference pass and the metrics stay TRL's. Of the row only what predicts an answer's
token meets the LM head.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model.base_config import skeleton
from steps.train.model.load import packed_attention_implementation
from steps.train.model.router import router_loss_weight
from steps.train.shared_prompts import attention, stateful_layers
from steps.train.shared_prompts.row import pack
from steps.train.shared_prompts.states import stacked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from steps.train.shared_prompts.row import Packed

log = logging.getLogger(__name__)

PER_TOKEN = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


def obstacle(model: PreTrainedModel, router_loss: float = 0.0) -> str | None:
    """Why a model cannot take packed batches; None where it can.

    Args:
        router_loss: the weight with which the loss that balances experts is added.
    """
    config = model.config
    if config._attn_implementation == "eager":
        return "attn_implementation: eager has no form for packed rows; sdpa has"
    if reason := stateful_layers.obstacle(model):
        return reason
    # Classes with layers that carry a state do not say that they have the backend, since those have none.
    backend = model._supports_attention_backend or bool(stateful_layers.find(model))
    if not model._can_set_attn_implementation() or not backend:
        return "its attention takes no other implementation"
    if getattr(config.get_text_config(), "attn_logit_softcapping", None):
        return "its attention caps its scores"
    if router_loss:
        return (
            "its loss balances experts over all tokens, of which a packed row has fewer (router_aux_loss_coef: 0 "
            "trains without that loss, and packed)"
        )
    return None


def shares_prompts(arguments: TrainArguments, model: PreTrainedModel) -> bool:
    """Whether the run computes packed batches; says why where it is to and cannot.

    Raises:
        StepError: settings that need packed batches, on a model that cannot take them.
    """
    if not arguments.share_prompts:
        return False
    reason = unshareable(arguments, model)
    if reason is None:
        return True
    if arguments.grouped or arguments.token_budget:
        raise StepError(
            f"share_prompts: the model cannot compute packed rows: {reason}; set share_prompts: false, and leave out "
            "group_by_prompt and max_tokens_per_batch"
        )
    log.warning("share_prompts: the model cannot compute packed rows: %s; every sequence is computed whole", reason)
    return False


def unshareable(arguments: TrainArguments, model: PreTrainedModel) -> str | None:
    """Why packed rows cannot be computed on a model, of which a skeleton is enough; None where they can.

    Raises:
        StepError: the recipe's weight for the router's loss does not go with the model.
    """
    return obstacle(model, router_loss_weight(arguments, model.config)) or _failing_forward(arguments, model)


def _failing_forward(arguments: TrainArguments, model: PreTrainedModel) -> str | None:
    """Why a packed row cannot pass through the model's class; None where it can, as far as shapes tell.

    Tried without values, before weights are at their place: what a mixture does with values is left out.
    """
    attention.register()
    trial = skeleton(model.config, "packed_sdpa", arguments.trust_remote_code)
    stateful_layers.take_rows(trial)
    meta = torch.device("meta")
    row = pack([([5, 6, 7], [8, 9], [1, 1]), ([5, 6, 7], [9], [1])]).to(meta)
    row = replace(row, stacks=stacked(row.groups, False, meta))
    try:
        with torch.no_grad():
            trial.base_model(row.input_ids, position_ids=row.position_ids, attention_mask=None, packed=row)
    except RuntimeError:
        return None  # an operation that needs values, or a real device: after the first layer's attention
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        return f"its forward pass does not take them ({contract.first_line(error)})"
    return None


def take_packed(model: PreTrainedModel, arguments: TrainArguments) -> None:
    """Give the model, which has TRL's fused LM head already, a forward that takes packed batches.

    With `packed` in the call it returns TRL's values a token, each [sequences, longest - 1] as for whole sequences.
    """
    attention.register()
    model.set_attn_implementation(packed_attention_implementation(arguments))
    stateful = stateful_layers.take_rows(model)
    hand_on = stateful and stateful_layers.hand_on(skeleton(model.config, "packed_sdpa", arguments.trust_remote_code))
    if stateful:
        log.info(
            "share_prompts: layers that carry a state %s",
            "compute a prompt once and hand its state to each answer" if hand_on
            else "cannot hand it to several tokens: they compute a prompt for each answer, without padding",
        )  # fmt: skip
    whole = model.forward

    def forward(self: PreTrainedModel, *, packed: Packed | None = None, **named: Any) -> Any:
        if packed is None:
            return whole(**named)
        packed = packed.to(named["input_ids"].device)
        if stateful:
            packed = replace(packed, stacks=stacked(packed.groups, hand_on, packed.input_ids.device))
        row = {"input_ids": packed.input_ids, "position_ids": packed.position_ids, "attention_mask": None}
        return _unpacked(whole(**named | row | {"labels": None, "shift_labels": packed.targets}, packed=packed), packed)

    model.forward = MethodType(forward, model)
    model.base_model.register_forward_hook(_keep_scored, with_kwargs=True)


@contextmanager
def whole_sequences(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Within, the model takes batches of whole sequences, with that attention."""
    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _keep_scored(_: torch.nn.Module, __: Any, named: dict[str, Any], output: Any) -> Any:
    """Leave the hidden states that predict what counts in the loss: TRL puts no others through the LM head on a GPU
    either, but on a CPU it would."""
    packed = named.get("packed")
    if packed is not None:
        output.last_hidden_state = output.last_hidden_state[:, packed.scored]
    return output


def _unpacked(outputs: Any, packed: Packed) -> Any:
    values = {name: getattr(outputs, name) for name in PER_TOKEN}
    fields = {name: None if value is None else packed.unpack(value) for name, value in values.items()}
    mask = packed.unpack(torch.ones_like(packed.targets, dtype=torch.bool))
    return type(outputs)(loss=outputs.loss, **fields, label_mask=mask, aux_loss=outputs.aux_loss)
