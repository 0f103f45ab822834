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
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from steps.merge.fit.tensor_changes import Change, Product
from steps.shared.contract import StepError
from steps.shared.safetensors_file import FLOATS, TensorFile, torch_dtype

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 19  # elements: 2 MiB in float32
ALIGNED_ROWS = 16  # of any number of columns take a multiple of 64 bytes
MATRICES_KEPT = 4  # experts that are stored one by one share theirs, of which gate, up and down are read by turns


class Arithmetic:
    """Merges tensors with what an open adapter holds."""

    def __init__(self, adapter: TensorFile) -> None:
        self._adapter = adapter
        self._matrix = lru_cache(MATRICES_KEPT)(self._read)
        self._kept = threading.local()

    def tasks(self, base: TensorFile, name: str, change: Change) -> Iterator[Callable[[], torch.Tensor]]:
        """What to call, in any thread, for the bytes of a tensor after its change: in order, flat tensors of uint8.

        A call raises StepError where the bytes hold NaN or infinity; whose fault that is stands in the message.
        """
        stored = base.tensors[name]
        if stored.dtype not in FLOATS or stored.size == 0:
            return base.tasks(name, 2 * BLOCK)
        return (partial(self._block, base, name, change, *span) for span in _spans(stored.shape, change.product))

    def _block(
        self, base: TensorFile, name: str, change: Change, expert: int, first: int, start: int, stop: int
    ) -> torch.Tensor:
        import torch

        merged = self._rows(base, name, change, first + start, first + stop)
        if change.product:
            self._add_product(merged, change.product, expert, start, stop)
        elif change.bias:
            merged.copy_(self._matrix(change.bias).mul(change.bias_scale).add(merged))
        if not all(extreme.isfinite() for extreme in merged.aminmax()):  # 5 times faster than isfinite on all
            before = self._rows(base, name, change, first + start, first + stop)
            raise self._not_finite(f"{base.path}: {name}", before, change)
        return merged.view(-1).view(torch.uint8)

    def _rows(self, base: TensorFile, name: str, change: Change, start: int, stop: int) -> torch.Tensor:
        """Rows of what the update is added to, in the base's dtype."""
        file, own = (self._adapter, change.replacement) if change.replacement else (base, name)
        return file.rows(own, start, stop).to(torch_dtype(base.tensors[name].dtype))

    def _add_product(self, weight: torch.Tensor, product: Product, expert: int, start: int, stop: int) -> None:
        """Update a block of rows in its place."""
        import torch

        a, b = self._matrix(product.a), self._matrix(product.b)
        if product.experts > 1:
            which = expert if product.expert is None else product.expert
            rank = len(a) // product.experts
            a, b = a.view(product.experts, rank, -1)[which], b.view(len(b), rank, product.experts)[:, :, which]
        delta = self._delta(b[slice(*product.rows)], a, product.transposed, start, stop).mul_(product.scale)
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

    def _delta(self, b: torch.Tensor, a: torch.Tensor, transposed: bool, start: int, stop: int) -> torch.Tensor:
        """Rows of b times a, or of its transpose, with the bits that they have in the whole product.

        Which kernel multiplies, and so the last bit, depends on the address, and on whether there are very few rows:
        so what is cut off is copied, and a last block of few rows is filled up with zeros.
        """
        import torch

        part, whole = (a.T, a.shape[1]) if transposed else (b, len(b))
        rows = part[start:stop].clone(memory_format=torch.contiguous_format)
        if len(rows) < whole:
            rows = torch.nn.functional.pad(rows, (0, 0, 0, -len(rows) % ALIGNED_ROWS))
        left, right = (b.contiguous(), rows.T.contiguous()) if transposed else (rows, a.contiguous())
        shape = torch.Size((left.shape[0], right.shape[1]))
        product = torch.mm(left, right, out=self._scratch("sum", shape))
        return (product.T.contiguous() if transposed else product)[: stop - start]

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
