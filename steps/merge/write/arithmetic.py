"""The merged bytes of a tensor, bitwise as peft's merge_and_unload computes them on a CPU, a block of rows at a time.

Formulas of peft 0.21: lora/layer.py (Linear, Embedding and ParamWrapper: get_delta_weight and merge) and lora/dora.py.
Matrices and sums are float32, and a sum is rounded once to the weight's dtype. Some rows of a product have the bits
that they have in the whole one (the tests compare), so that a block, which stays in the processor's cache, is all that
is in memory. DoRA on a weight that is stored as [inputs, outputs] takes norms of columns: that one is not split.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from steps.merge.fit.tensor_changes import Change, Product
from steps.shared.contract import StepError
from steps.shared.weights.safetensors_file import FLOATS, TensorFile, torch_dtype

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 19  # elements: 2 MiB in float32
COPIED = 2 * BLOCK  # bytes
ALIGNED_ROWS = 16  # of any number of columns take a multiple of 64 bytes
MATRICES_KEPT = 4  # experts that are stored one by one share theirs, of which gate, up and down are read by turns


@dataclass(frozen=True)
class Block:
    """Bytes of a merged file: how many, and what computes them, in any thread, into a tensor of uint8 of that size."""

    size: int
    compute: Callable[[torch.Tensor], None]


def copied(file: TensorFile, start: int, size: int) -> Iterator[Block]:
    """Bytes of a file as they are."""
    for at in range(start, start + size, COPIED):
        yield Block(min(COPIED, start + size - at), partial(file.read, at))


class Arithmetic:
    """Merges tensors with what an open adapter holds."""

    def __init__(self, adapter: TensorFile) -> None:
        self._adapter = adapter
        self._matrix = lru_cache(MATRICES_KEPT)(self._read)
        self._kept = threading.local()

    def blocks(self, base: TensorFile, name: str, change: Change) -> Iterator[Block]:
        """A tensor's bytes after its change, in order.

        Computing one raises StepError where it holds NaN or infinity; whose fault that is stands in the message.
        """
        stored = base.tensors[name]
        if stored.dtype not in FLOATS or stored.size == 0:
            yield from copied(base, stored.start, stored.size)
            return
        row = stored.size // max(math.prod(stored.shape[:-1]), 1)
        for expert, first, start, stop in _spans(stored.shape, change.product):
            compute = partial(self._compute, base, name, change, expert, first, start, stop)
            yield Block((stop - start) * row, compute)

    def _compute(
        self, base: TensorFile, name: str, change: Change, expert: int, first: int, start: int, stop: int,
        into: torch.Tensor,
    ) -> None:  # fmt: skip
        merged = into.view(torch_dtype(base.tensors[name].dtype)).view(stop - start, -1)
        self._read_rows(base, name, change, first + start, first + stop, merged)
        if change.product:
            self._add_product(merged, change.product, expert, start, stop)
        elif change.bias:
            merged.copy_(self._matrix(change.bias).mul(change.bias_scale).add(merged))
        if not all(extreme.isfinite() for extreme in merged.aminmax()):  # 5 times faster than isfinite on all
            self._read_rows(base, name, change, first + start, first + stop, merged)
            raise self._not_finite(f"{base.path}: {name}", merged, change)

    def _read_rows(
        self, base: TensorFile, name: str, change: Change, start: int, stop: int, into: torch.Tensor
    ) -> None:
        """Rows of what the update is added to, in the base's dtype."""
        if change.replacement:
            into.copy_(self._adapter.rows(change.replacement, start, stop))
        else:
            base.read_rows(name, start, stop, into)

    def _add_product(self, weight: torch.Tensor, product: Product, expert: int, start: int, stop: int) -> None:
        """Update a block of rows in its place."""
        import torch

        a, b = self._matrix(product.a), self._matrix(product.b)
        if product.experts > 1:
            which = expert if product.expert is None else product.expert
            rank = len(a) // product.experts
            a, b = a.view(product.experts, rank, -1)[which], b.view(len(b), rank, product.experts)[:, :, which]
        delta = self._delta(product, b[slice(*product.rows)], a, start, stop)
        if product.rounded:
            weight.add_(delta.to(weight.dtype))
            return
        merged = delta.add_(self._scratch("weight", weight.shape).copy_(weight))  # twice as fast as adding two dtypes
        if product.magnitude:
            outputs = 1 if product.transposed else 0
            norm = torch.linalg.norm(merged.T if product.transposed else merged, dim=1)
            magnitude = self._matrix(product.magnitude)
            factor = (magnitude if product.transposed else magnitude[start:stop]) / norm
            merged = factor.unsqueeze(1 - outputs) * merged
        weight.copy_(merged)

    def _delta(self, product: Product, b: torch.Tensor, a: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Rows of b times a, or of its transpose, times the scale, with the bits that they have in the whole product.

        Which kernel multiplies, and so the last bit, depends on the address, and on whether there are very few rows:
        so what is cut off is copied, and a last block of few rows is filled up with zeros. A scale that changes only
        exponents scales the few numbers that are multiplied, with the same bits, and no pass over the product.
        """
        import torch

        part, whole = (a.T, a.shape[1]) if product.transposed else (b, len(b))
        rows = part[start:stop].clone(memory_format=torch.contiguous_format)
        if _is_power_of_two(product.scale):
            rows.mul_(product.scale)
        if len(rows) < whole:
            rows = torch.nn.functional.pad(rows, (0, 0, 0, -len(rows) % ALIGNED_ROWS))
        left, right = (b.contiguous(), rows.T.contiguous()) if product.transposed else (rows, a.contiguous())
        shape = torch.Size((left.shape[0], right.shape[1]))
        delta = torch.mm(left, right, out=self._scratch("sum", shape))
        if not _is_power_of_two(product.scale):
            delta.mul_(product.scale)
        return (delta.T.contiguous() if product.transposed else delta)[: stop - start]

    def _scratch(self, name: str, shape: torch.Size) -> torch.Tensor:
        """Float32 memory of this thread, overwritten by its next block: fresh memory would cost a fault a page."""
        import torch

        size = shape.numel()
        kept = getattr(self._kept, name, None)
        if kept is None or len(kept) < size:
            kept = torch.empty(size, dtype=torch.float32)
            setattr(self._kept, name, kept)
        return kept[:size].view(shape)

    def _read(self, name: str) -> torch.Tensor:
        import torch

        return self._adapter.tensor(name).to(torch.float32)

    def _not_finite(self, where: str, weight: torch.Tensor, change: Change) -> StepError:
        if not weight.isfinite().all():
            if change.replacement:
                return StepError(
                    f"{where}: the adapter's copy of it holds NaN or infinity; train again with a lower learning_rate"
                )
            return StepError(f"{where}: holds NaN or infinity already in the base; copy or download the base again")
        product = change.product
        names = [change.bias, *((product.a, product.b, product.magnitude) if product else ())]
        broken = not all(self._matrix(name).isfinite().all() for name in names if name)
        cause = "its adapter matrices hold them" if broken else f"the sum is too large for {weight.dtype}"
        return StepError(f"{where}: merging gives NaN or infinity: {cause}; train again with a lower learning_rate")


def _is_power_of_two(scale: float) -> bool:
    return math.frexp(scale)[0] == 0.5


def _spans(shape: tuple[int, ...], product: Product | None) -> Iterator[tuple[int, int, int, int]]:
    """Blocks of a tensor's rows: the matrix they are of, its first row, and the block's first and last row in it."""
    columns = shape[-1] if shape else 1
    rows = math.prod(shape[:-1])
    experts = product.experts if product and product.expert is None else 1
    height = max(BLOCK // columns // ALIGNED_ROWS, 1) * ALIGNED_ROWS
    if product and product.magnitude and product.transposed:
        height = rows
    each = rows // experts
    for expert in range(experts):
        for start in range(0, each, height):
            yield expert, expert * each, start, min(start + height, each)
