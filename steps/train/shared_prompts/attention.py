"""Attention over packed rows (`shared_prompts.row`), as implementations that transformers knows by name.

A trunk's tokens see the trunk; a branch's see their trunk and themselves: queries shorter than keys, causal from the
bottom right, within the model's sliding window if it has one. Written against transformers' AttentionInterface, so that
a model's own class stays as it is; the mask that it would make is None for a name that AttentionMaskInterface does not
know (transformers/masking_utils.py, _preprocess_mask_arguments), and none is needed.

- `packed_sdpa`: SDPA, segment by segment; runs everywhere.
- `packed_varlen`: one call of variable-length Flash Attention, torch's own (`torch.nn.attention.varlen`).
- `packed_flash`: the same of the flash-attn package.

The last two repeat a trunk's keys and values for each of its branches, by one lookup a layer whatever the number of
segments, and need a GPU of compute capability 8.0 and half precision; they have not run on one yet. Tests compare what
they hand to the kernel with `packed_sdpa`, and count their operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import embedding, scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.flash_attention import get_target_dtype
from transformers.integrations.sdpa_attention import repeat_kv

if TYPE_CHECKING:
    from steps.train.shared_prompts.row import Packed

NOT_COMPUTED = {"s_aux": "sinks", "softcap": "capped scores"}
Kernel = Callable[..., torch.Tensor]


def packed_sdpa(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: None, *,
    packed: Packed, scaling: float | None = None, sliding_window: int | None = None, **more: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """`query`: [1, heads, tokens, head_dim]; `key`, `value`: [1, key-value heads, tokens, head_dim], of the packed row.

    Returns:
        The output, [1, tokens, heads, head_dim], and None in place of attention weights.

    Raises:
        ValueError: the model asks for what these functions do not compute.
    """
    if asked := [what for name, what in NOT_COMPUTED.items() if more.get(name) is not None]:
        raise ValueError(f"its attention has {' and '.join(asked)}")
    repeats = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, repeats), repeat_kv(value, repeats)
    found = [
        _causal(*segment, scaling, sliding_window)
        for segment in _segments(query, key, value, packed)
        if segment[0].shape[2]
    ]
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


def packed_varlen(*inputs: Any, **named: Any) -> tuple[torch.Tensor, None]:
    """The same shapes as `packed_sdpa`, in half precision, by torch's own kernel."""
    return _variable_length(_torch_kernel, *inputs, **named)


def packed_flash(*inputs: Any, **named: Any) -> tuple[torch.Tensor, None]:
    """The same shapes as `packed_sdpa`, in half precision, by the flash-attn package."""
    return _variable_length(_flash_attn_kernel, *inputs, **named)


FUNCTIONS = {function.__name__: function for function in (packed_sdpa, packed_varlen, packed_flash)}


def register() -> None:
    """Make the implementations known to transformers."""
    for name, function in FUNCTIONS.items():
        AttentionInterface.register(name, function)


def _segments(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Packed
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Each segment's queries, and the keys and values that they see; all [1, heads, tokens, head_dim].

    Cut by `split`: a slice's gradient would be a tensor as large as the whole, for every segment. A trunk's gradients
    are added one after the other, so that a run repeats bit by bit.
    """
    sizes = [size for trunk, branches in packed.groups for size in (trunk, *branches)]
    parts = zip(*(tensor.split(sizes, dim=2) for tensor in (query, key, value)), strict=True)
    for _, branches in packed.groups:
        queries, *trunk = next(parts)
        yield queries, *trunk
        for _ in branches:
            queries, *own = next(parts)
            yield queries, *(torch.cat(pair, dim=2) for pair in zip(trunk, own, strict=True))


def _causal(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, window: int | None
) -> torch.Tensor:
    """Attention of the last `queries` of `keys` tokens, each on itself and those before it."""
    queries, keys = query.shape[2], key.shape[2]
    if queries == keys and (window is None or window >= keys):
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    own = torch.arange(keys - queries, keys, device=query.device)[:, None]
    others = torch.arange(keys, device=query.device)
    seen = others <= own
    if window is not None:
        seen &= others > own - window
    return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling)


def _variable_length(
    kernel: Kernel, module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: None, *, packed: Packed, scaling: float | None = None, sliding_window: int | None = None, **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    dtype = get_target_dtype(query, module) or query.dtype  # the kernels take no float32, which a norm may have left
    query, key, value = (tensor[0].transpose(0, 1).to(dtype) for tensor in (query, key, value))
    seen = _seen(key, value, packed.seen)
    longest = packed.most_queries, packed.most_keys
    # A token sees itself and, of those before it, what is less than a window away: a window of 1 is the token alone.
    left = -1 if sliding_window is None else sliding_window - 1
    ends = packed.query_ends, packed.key_ends
    return kernel(query.contiguous(), *seen, *ends, *longest, scaling, (left, 0))[None], None


def _seen(key: torch.Tensor, value: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The keys and values, each [tokens, key-value heads, head_dim], in the order of the segments that see them.

    `embedding` is an `index_select` whose gradient adds up what stands at several places in a fixed order, so that a
    run repeats; that of `index_select` itself adds on a GPU in whatever order the threads come.
    """
    both = torch.stack((key, value), dim=1)
    keys, values = embedding(places, both.flatten(1)).unflatten(1, both.shape[1:]).unbind(1)
    return keys, values


def _torch_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_ends: torch.Tensor, key_ends: torch.Tensor,
    most_queries: int, most_keys: int, scaling: float | None, window: tuple[int, int],
) -> torch.Tensor:  # fmt: skip
    from torch.nn.attention.varlen import varlen_attn

    found = varlen_attn(
        query, key, value, query_ends, key_ends, most_queries, most_keys, scale=scaling, window_size=window,
        enable_gqa=True,
    )  # fmt: skip
    assert isinstance(found, torch.Tensor)  # a tuple only where more than the output is asked for
    return found


def _flash_attn_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_ends: torch.Tensor, key_ends: torch.Tensor,
    most_queries: int, most_keys: int, scaling: float | None, window: tuple[int, int],
) -> torch.Tensor:  # fmt: skip
    from flash_attn import flash_attn_varlen_func

    return flash_attn_varlen_func(
        query, key, value, query_ends, key_ends, most_queries, most_keys, softmax_scale=scaling, causal=True,
        window_size=window,
    )  # fmt: skip
