"""Every weight of the merged model against peft's own merge of the same files, both in the base's dtype.

For mixtures of experts. Rounding a weight to bfloat16 can send a token to another expert than base + adapter does, and
its logits are then far from theirs although the merge is right; the weights themselves do not depend on routes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steps.shared.model_class import auto_class

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Another processor multiplies in another order, and a sum that lies between two values of the dtype is then rounded to
# the other one: a few in a hundred thousand.
ROUNDED_OTHERWISE = 1e-3  # of a weight's elements
CLOSE = 1e-5  # of a weight's root mean square, in float32
HALF = 2**-8  # the same where the model takes a weight of a bfloat16 file in float32: peft's sum is not rounded


def has_experts(model: torch.nn.Module) -> bool:
    """Whether the model has experts among which a token's values choose."""
    return any(
        name.rpartition(".")[2] == "experts" or "experts" in type(module).__name__.lower()
        for name, module in model.named_modules()
    )


def others(base: Path, adapter: Path, merged: Path) -> tuple[list[str], int]:
    """The weights of the merged model that are not those of peft's merge, and how many were compared."""
    from peft import PeftModel

    expected = PeftModel.from_pretrained(load(base, "auto"), str(adapter)).merge_and_unload().state_dict()
    found = load(merged, "auto").state_dict()
    wrong = [name for name in expected if name not in found or not same(found[name], expected[name])]
    return wrong, len(expected)


def load(folder: Path, dtype: torch.dtype | str) -> PreTrainedModel:
    """A model's folder in the class that it is served in; `auto`: in the dtype of its files."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    return auto_class(config).from_pretrained(folder, config=config, dtype=dtype, local_files_only=True)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a merged weight differs from another one by no more than rounding."""
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype != torch.float32:
        return int((one != other).sum()) <= max(1, int(ROUNDED_OTHERWISE * one.numel()))
    stored_in_half = any(one.to(dtype).float().equal(one) for dtype in (torch.bfloat16, torch.float16))
    apart, size = ((each.double().square().mean().sqrt()) for each in (one - other, other))
    return bool(apart <= (HALF if stored_in_half else CLOSE) * size)
