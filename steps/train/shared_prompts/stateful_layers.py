"""Finds a model's layers that carry a state along a sequence, and has them take a packed row (`shared_prompts.states`).

Known by what their class does, not by their names: its forward reads and updates the convolution's state of
transformers' cache. The row reaches such a layer through its block, which is given all that the model does not know
itself; where gradients are computed in checkpoints, the block is called anew with the same, and so is the layer.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from steps.shared.model_class import CODE_ERRORS
from steps.train.shared_prompts.states import State

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from steps.train.shared_prompts.row import Packed

CACHES = ("cache_params", "past_key_values")  # what the classes call their cache
ATTENTION = {"full_attention", "sliding_attention"}
EACH_TOKEN = {"mlp", "moe"}  # layers of their own in some classes


class Stateful(NamedTuple):
    block: torch.nn.Module
    layer: torch.nn.Module
    cache: str  # what its forward calls its cache


def find(model: torch.nn.Module) -> list[Stateful]:
    """The model's layers of this kind, each with its block."""
    found = []
    for block in model.modules():
        for layer in block.children():
            forward = inspect.unwrap(type(layer).forward)
            parameters = inspect.signature(forward).parameters
            cache = next((name for name in CACHES if name in parameters), None)
            if cache and "update_conv_state" in forward.__code__.co_names:
                found.append(Stateful(block, layer, cache))
    return found


def obstacle(model: PreTrainedModel) -> str | None:
    """Why the model's layers that carry a state cannot take a packed row; None where they can, or there are none."""
    types = list(getattr(model.config.get_text_config(), "layer_types", None) or ())
    others = set(types) - ATTENTION - EACH_TOKEN
    found = find(model)
    if len(found) < max(sum(kind in others for kind in types), model._is_stateful):
        return f"it has layers that carry a state along the row ({', '.join(sorted(others)) or 'recurrent'})"
    for one in found:
        kinds = {parameter.kind for parameter in inspect.signature(one.block.forward).parameters.values()}
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return f"its {type(one.block).__name__} does not hand on what a packed row needs"
    return None


def hand_on(skeleton: PreTrainedModel) -> bool:
    """Whether all these layers continue several tokens behind a state: whether their output depends on each state that
    they left.

    Args:
        skeleton: the model on the meta device.
    """
    return all(_hands_on(one, skeleton) for one in find(skeleton))


def _hands_on(one: Stateful, skeleton: PreTrainedModel) -> bool:
    size, dtype = skeleton.config.get_text_config().hidden_size, next(one.layer.parameters()).dtype
    before, after = (torch.empty(1, tokens, size, dtype=dtype, device="meta") for tokens in (3, 2))
    left, states = State(), []
    try:
        one.layer(before, **{one.cache: left})
        for kept in (left.conv, left.recurrent):
            for number, state in kept.items():
                kept[number] = state.detach().requires_grad_()
                states.append(kept[number])
        output = one.layer(after, **{one.cache: left})
        read = torch.autograd.grad(output.sum(), states, allow_unused=True)
    except CODE_ERRORS:  # such as a kernel that takes no tensor without values
        return False  # whole sequences need no state
    return bool(states) and None not in read


class _OfRow:
    """A layer's forward, which takes the row that its block was given."""

    def __init__(self, one: Stateful):
        self.whole, self.cache = one.layer.forward, one.cache
        self.packed: Packed | None = None

    def see(self, _: torch.nn.Module, __: Any, named: dict[str, Any]) -> None:
        self.packed = named.get("packed")

    def forward(self, hidden_states: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        if self.packed is None:
            return self.whole(hidden_states, *more, **named)
        assert self.packed.stacks is not None  # the model's forward makes them, where it has such layers
        return self.packed.stacks.run(lambda rows, state: self.whole(rows, **{self.cache: state}), hidden_states)


def take_rows(model: torch.nn.Module) -> bool:
    """Have the model's layers of this kind take packed rows; whether it has any."""
    found = find(model)
    for one in found:
        forward = _OfRow(one)
        one.block.register_forward_pre_hook(forward.see, with_kwargs=True)
        one.layer.forward = forward.forward
    return bool(found)
