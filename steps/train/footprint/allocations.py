"""Count what code allocates while it runs over tensors without memory, and stand in for the kernels of attention."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_iter


class Allocations(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def add(self, tensor: torch.Tensor) -> None:
        if is_traceable_wrapper_subclass(tensor):  # a DTensor: what it wraps is counted
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self._grow(storage.nbytes())
            weakref.finalize(storage, self._free, key)

    def resized(self, tensor: torch.Tensor) -> None:
        """FSDP2 frees and brings back a tensor's memory by resizing its storage."""
        storage = tensor.untyped_storage()
        if storage._cdata in self._sizes:
            before, self._sizes[storage._cdata] = self._sizes[storage._cdata], storage.nbytes()
            self._grow(storage.nbytes() - before)

    def lap(self) -> int:
        """The peak since the last lap."""
        peak, self.peak = self.peak, self.now
        return peak

    def _grow(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return result


class Flash(torch.autograd.Function):
    """Keeps queries, keys, values, the output, a statistic a row and the mask, as kernels of attention do.

    Queries, keys and values are [batch, heads, length, width], the output too.
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any) -> torch.Tensor:
        batch, heads, length, _ = query.shape
        output = query.new_empty(batch, length, heads, value.shape[-1])
        statistic = query.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, statistic, *([] if mask is None else [mask]))
        return output.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (*(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3]), None)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    *_: Any,
    **__: Any,
) -> torch.Tensor:
    """torch's scaled_dot_product_attention with a padded batch: keys and values are repeated to the queries' heads, and
    the mask is turned into numbers."""
    groups = query.shape[-3] // key.shape[-3]
    if groups > 1:
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    return Flash.apply(query, key, value, None if attn_mask is None else attn_mask.to(query.dtype))


@contextmanager
def attention_kept_as_on_a_gpu() -> Iterator[None]:
    """On a CPU torch would compute, and keep, all scores."""
    original = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = _attention
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = original
