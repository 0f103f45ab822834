"""The classes whose modules FSDP2 shards as one unit each.

transformers names a model's blocks in `_no_split_modules`, and there also those of parts that a class shares with
others and this model has not; accelerate looks for every one and stops at the first that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KEY = "fsdp_config.transformer_layer_cls_to_wrap"


def sharded_classes(arguments: TrainArguments, model: PreTrainedModel) -> list[str]:
    """The names of the classes: what the recipe names, or else what transformers names, as far as the model has it.

    Raises:
        StepError: the recipe names a class that the model has not, or none is known.
    """
    has = {type(module).__name__ for module in model.modules()}
    repeated = ", ".join(sorted(_repeated(model)))
    asked = arguments.fsdp_config.transformer_layer_cls_to_wrap
    if asked:
        if missing := [name for name in asked if name not in has]:
            raise StepError(f"{KEY}: {missing[0]}: a {model.config.model_type} model has none; its blocks: {repeated}")
        return asked
    found = sorted(has & set(model._no_split_modules or ()))
    if not found:
        raise StepError(
            f"{KEY}: transformers does not tell which modules of a {model.config.model_type} model are its blocks; "
            f"name one or several of: {repeated}"
        )
    return found


def _repeated(model: PreTrainedModel) -> set[str]:
    """The classes of what stands in the model's lists of modules."""
    import torch

    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    return {type(child).__name__ for module in lists for child in module}
