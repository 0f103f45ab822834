"""What of a model computes text: an adapter on the other parts of a multimodal one would get no gradient from text.

Found from the model itself: its decoder, as transformers tells it, and its LM head.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steps.shared.contract import StepError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def language_linears(model: PreTrainedModel) -> list[str]:
    """The linear layers of a multimodal model's decoder, by the last part of their names, sorted; where another kind of
    module in the decoder has the same, by their whole names. The LM head is none of them."""
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    inside = [(name, module) for name, module in _within(model, decoder) if module is not head]
    linears = {name for name, module in inside if _is_linear(module)}
    others = {_last(name) for name, _ in inside if name not in linears}
    return sorted({name if _last(name) in others else _last(name) for name in linears})


def require_inside(model: PreTrainedModel, targets: Sequence[str]) -> None:
    """
    Raises:
        StepError: one of `target_modules` names no module of a multimodal model's decoder.
    """
    names = [f".{name}" for name, _ in _within(model, model.get_decoder())]
    for target in targets:
        if not any(name.endswith(f".{target}") for name in names):
            raise StepError(
                f"target_modules: {target}: is not in the language model of this {model.config.model_type} model, and "
                f"text gives a gradient to nothing else; name some of {', '.join(language_linears(model))}"
            )


def outside_language(model: PreTrainedModel) -> str | None:
    """A regular expression, for peft's `exclude_modules`, of the modules that text does not pass through: all but the
    decoder, what holds it, and the LM head. None for a model of text alone.
    """
    if model.config.get_text_config() is model.config:
        return None
    inside = [name for name, _ in _within(model, model.get_decoder())]
    head = model.get_output_embeddings()
    inside += [name for name, module in model.named_modules() if module is head]
    kept = {*inside, *(holder for name in inside for holder in _holders(name))}
    left = [name for name, _ in model.named_modules() if name not in kept]
    tops = [name for name in left if not set(_holders(name)) & set(left)]
    return rf"({'|'.join(re.escape(name) for name in tops)})(\..*)?" if tops else None


def _within(model: PreTrainedModel, part: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """The modules of a part with their names in the model, the part's own first."""
    at = next(name for name, module in model.named_modules() if module is part)
    return [(f"{at}.{name}".strip("."), module) for name, module in part.named_modules()]


def _holders(name: str) -> list[str]:
    """The modules that a module stands in, the model itself included."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts))]


def _is_linear(module: torch.nn.Module) -> bool:
    """As peft's `all-linear` takes them; but for a model's own kinds, such as Llama 4's router, whose outputs are not
    those of a linear layer."""
    import torch
    from transformers.pytorch_utils import Conv1D

    own = type(module).__module__.startswith("transformers.models.")
    return isinstance(module, torch.nn.Linear | Conv1D) and not own


def _last(name: str) -> str:
    return name.rpartition(".")[2]
