"""Every weight of the merged model against peft's own merge of the same files, both in the base's dtype.

For mixtures of experts. Rounding a weight to bfloat16 can send a token to another expert than base + adapter does, and
its logits are then far from theirs although the merge is right; the weights themselves do not depend on routes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steps.shared import contract, experts
from steps.shared.model_class import CODE_ERRORS, auto_class

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Another processor multiplies in another order, and a sum that lies between two values of the dtype is then rounded to
# the other one: a few in a hundred thousand, each by two steps of the dtype at most (`same`).
ROUNDED_OTHERWISE = 1e-3  # of a weight's elements
STEPS = 2
CLOSE = 1e-5  # of a weight's root mean square, in float32
HALF = 2**-8  # the same where the model takes a weight of a bfloat16 file in float32: peft's sum is not rounded


class OfPeft(Exception):
    """Why peft's merge is not there to compare with."""


def has_experts(model: torch.nn.Module) -> bool:
    """Whether the model has experts among which a token's values choose."""
    return any(experts.is_experts(name, type(module).__name__) for name, module in model.named_modules())


def others(base: Path, adapter: Path, merged: Path) -> tuple[list[str], int]:
    """The weights of the merged model that are not those of peft's merge, and how many were compared.

    Raises:
        OfPeft: peft cannot merge them.
    """
    from peft import PeftModel

    try:
        expected = PeftModel.from_pretrained(load(base, "auto"), str(adapter)).merge_and_unload().state_dict()
    except CODE_ERRORS as error:
        raise OfPeft(f"peft's own merge of the two fails: {contract.first_line(error)}") from None
    found = load(merged, "auto").state_dict()
    wrong = [name for name in expected if name not in found or not same(found[name], expected[name])]
    return wrong, len(expected)


def load(folder: Path, dtype: torch.dtype | str) -> PreTrainedModel:
    """A model's folder in the class that it is served in; `auto`: in the dtype of its files."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return auto_class(config).from_pretrained(
        folder, config=config, dtype=dtype, local_files_only=True, trust_remote_code=False
    )


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a merged weight differs from another one, of any shape, by no more than rounding.

    In half precision the adapter's product is rounded, and then its sum with the base. Where another order of additions
    leaves either on the other side of a boundary, each is one step of the dtype off: two in all. A step is at most the
    dtype's `eps` times the largest of the two elements and of the weight's root mean square: where base and product
    nearly cancel, the product's step is that of a number of the usual size, above that of the small sum.
    """
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return one.equal(other)
    if one.dtype != torch.float32:
        return _rounded_otherwise(one, other)
    stored_in_half = any(one.to(dtype).float().equal(one) for dtype in (torch.bfloat16, torch.float16))
    apart, size = ((each.double().square().mean().sqrt()) for each in (one - other, other))
    return bool(apart <= (HALF if stored_in_half else CLOSE) * size)


def _rounded_otherwise(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    differ = one != other  # NaN differs from itself
    if int(differ.sum()) > max(1, int(ROUNDED_OTHERWISE * one.numel())):
        return False
    usual = other.double().square().mean().sqrt()
    first, second = one[differ].double(), other[differ].double()
    largest = torch.maximum(first.abs(), second.abs()).clamp(min=usual)
    return bool(((first - second).abs() <= STEPS * torch.finfo(one.dtype).eps * largest).all())
