"""A decoder's pass over tensors that have shapes and no memory: each kind of block is counted, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_iter, tree_map

from steps.train.footprint.allocations import Allocations, attention_kept_as_on_a_gpu
from steps.train.model.adapter import base_of

if TYPE_CHECKING:
    from peft import PeftModel

SEQUENCES = 2
Block = torch.nn.Module
Pass = tuple[int, int, int]  # bytes that a block keeps, that it needs without gradients, and in its backward pass


def passes(adapted: PeftModel, blocks: Sequence[Block], length: int, dtype: torch.dtype) -> dict[str, Pass]:
    """One pass of the decoder over `SEQUENCES` of `length` tokens, each kind of block counted once."""
    base = base_of(adapted)
    found: dict[str, Pass] = {}
    results: dict[str, Any] = {}
    originals = {block: block.forward for block in blocks}
    with FakeTensorMode(allow_non_fake_inputs=True), attention_kept_as_on_a_gpu():
        _without_memory(adapted, dtype)
        for block, original in originals.items():
            block.forward = counted(block, original, found, results)
        try:
            base.train()
            with torch.no_grad():
                base.get_decoder()(input_ids=torch.zeros(SEQUENCES, length, dtype=torch.long), use_cache=False)
        finally:
            for block, original in originals.items():
                block.forward = original
    return found


def _without_memory(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Put fake tensors on the CPU in place of those on the meta device, of which libraries ask what it cannot answer.
    Dropout of the base is off, as in training."""
    made: dict[int, torch.nn.Parameter] = {}  # a tied weight stays one
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and "lora_dropout" not in name:
            module.p = 0.0
        for own, parameter in module._parameters.items():
            if parameter is not None:
                kind = dtype if parameter.is_floating_point() else parameter.dtype
                if id(parameter) not in made:
                    values = torch.empty(parameter.shape, dtype=kind)
                    made[id(parameter)] = torch.nn.Parameter(values, requires_grad=parameter.requires_grad)
                module._parameters[own] = made[id(parameter)]
        for own, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[own] = torch.empty(buffer.shape, dtype=buffer.dtype)


def counted(
    block: Block, original: Callable[..., Any], found: dict[str, Pass], results: dict[str, Any]
) -> Callable[..., Any]:
    """The block's forward pass: the first of its kind is counted, with its backward pass; the others are passed over,
    since what comes out of them has the same shape."""

    def call(*args: Any, **kwargs: Any) -> Any:
        kind = kind_of(block)
        if kind not in found:
            found[kind], results[kind] = _count(block, original, args, kwargs)
        return results[kind]

    return call


def _count(
    block: Block, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Pass, Any]:
    """Bytes above the block's weights, with the hidden states that it is given ([sequences, length, hidden]) among what
    it needs and not among what it keeps; and what the block returns."""
    given = args[0] if args else kwargs["hidden_states"]
    states = given.detach().requires_grad_()
    call = (states, *args[1:]) if args else ()
    named = kwargs if args else {**kwargs, "hidden_states": states}
    bytes_of = Allocations()
    for tensor in (*block.parameters(), *block.buffers(), *_tensors(args), *_tensors(kwargs.values()), states):
        bytes_of.add(tensor)
    held = bytes_of.now
    bytes_of.lap()
    with bytes_of:
        original(*call, **named)
        forward = bytes_of.lap() - held
        with torch.enable_grad():
            result = original(*call, **named)
            output = result[0] if isinstance(result, tuple) else result
            size = output.untyped_storage().nbytes()
            kept = bytes_of.now - held - size
            bytes_of.lap()
            output.backward(torch.empty_like(output))
    found = kept, forward + states.nbytes, bytes_of.lap() - held - kept - size
    return found, tree_map(lambda value: value.detach() if isinstance(value, torch.Tensor) else value, result)


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    return (value for value in tree_iter(list(values)) if isinstance(value, torch.Tensor))


def kind_of(block: Block) -> str:
    """Blocks of one kind keep the same: those of one class, with the same weights and settings."""
    weights = ",".join(f"{name}:{tuple(parameter.shape)}" for name, parameter in block.named_parameters())
    settings = [
        f"{name}={value}"
        for module in block.modules()
        for name, value in sorted(vars(module).items())
        if name in ("layer_type", "attention_type", "block_type", "sliding_window")
    ]
    return f"{type(block).__name__} {weights} {','.join(settings)}"
