"""What becomes of a tensor of the base, as data; and the two ways of saying that an adapter does not fit."""

from __future__ import annotations

from dataclasses import dataclass

from steps.merge.fit.adapter import Adapter
from steps.merge.fit.base import Base
from steps.merge.fit.peft_settings import INSTEAD
from steps.shared.contract import StepError


@dataclass(frozen=True)
class Product:
    """`B @ A * scale`, or the share of it that one tensor of the base gets; `a` and `b` name the adapter's tensors."""

    a: str
    b: str
    scale: float
    transposed: bool = False  # the base's tensor is stored as [inputs, outputs]
    experts: int = 1  # how many matrices `a` and `b` hold
    expert: int | None = None  # which of them is the tensor's; None: all, one after the other
    rows: tuple[int, int | None] = (0, None)  # of B: where a checkpoint splits what the model fuses
    rounded: bool = False  # to the weight's dtype before it is added, as peft does with embeddings and parameters
    magnitude: str | None = None  # DoRA's


@dataclass(frozen=True)
class Change:
    """First another tensor may take the base's place, then something may be added."""

    replacement: str | None = None  # a tensor of the adapter
    product: Product | None = None
    bias: str | None = None  # a tensor of the adapter, added after it is multiplied by `bias_scale`
    bias_scale: float = 1.0


def refusal(adapter: Adapter, what: str, fix: str = INSTEAD) -> StepError:
    return StepError(f"{adapter.folder}: not supported by the merge: {what}; {fix}")


def another_base(adapter: Adapter, base: Base, what: str) -> StepError:
    named = adapter.settings.trained_on or "its config names none"
    return StepError(
        f"{adapter.folder}: {what}; the adapter was trained on another base than {base.name} ({named}): give that one"
    )
