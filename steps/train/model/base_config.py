"""The base's configuration as it is trained: without dropout, with an attention that its class has; before any weight.

A skeleton, the model on the meta device, tells what a class takes without a list of families: it has shapes, no values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.model_class import CODE_ERRORS, auto_class
from steps.shared.model_folder import read_by_library
from steps.train.arguments import Attention, TrainArguments

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

RANDOM = ("dropout", "pdrop", "layerdrop", "jitter")  # in the names of settings that make a forward pass random


def read_config(arguments: TrainArguments) -> PreTrainedConfig:
    """
    Raises:
        StepError: it cannot be read.
    """
    from transformers import AutoConfig

    with read_by_library(f"{arguments.model_id}: the model cannot be loaded"):
        return AutoConfig.from_pretrained(
            arguments.model_id, revision=arguments.model_revision, trust_remote_code=arguments.trust_remote_code
        )


def without_randomness(config: PreTrainedConfig) -> list[str]:
    """Set to 0 whatever makes a forward pass of a training model random, and return those settings' names.

    Modules named Dropout can be taken out of a model; an attention's or a residual's rate is read from its
    configuration. Policy and reference would differ by it before the first step.
    """
    changed = []
    for part in _parts(config):
        for name, value in vars(part).items():
            named = any(word in name for word in RANDOM)
            if named and isinstance(value, int | float) and not isinstance(value, bool) and value:
                setattr(part, name, 0.0)
                changed.append(name)
    return changed


def _parts(config: PreTrainedConfig) -> Iterator[PreTrainedConfig]:
    """The configuration and those inside it, as of a multimodal model's text."""
    yield config
    for value in list(vars(config).values()):
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            yield from _parts(value)


def skeleton(config: PreTrainedConfig, attention: str, trust_remote_code: bool) -> PreTrainedModel:
    """The model on the meta device.

    Raises:
        ValueError, ImportError: its class has no such attention.
        CODE_ERRORS: its code fails.
    """
    import torch

    own = copy.deepcopy(config)
    if hasattr(own, "quantization_config"):
        del own.quantization_config
    with torch.device("meta"):
        return auto_class(own).from_config(own, attn_implementation=attention, trust_remote_code=trust_remote_code)


def fitting_attention(
    arguments: TrainArguments, config: PreTrainedConfig, wanted: Attention
) -> tuple[Attention, PreTrainedModel]:
    """`wanted`, or under `auto` the next one that the model's class has, as transformers itself falls back; and the
    skeleton with it.

    Raises:
        StepError: the recipe names an attention that the class has not, the class is one that TRL cannot train, or the
            model's code fails.
    """
    order = get_args(Attention)
    for one in order[order.index(wanted) :] if arguments.attn_implementation == "auto" else (wanted,):
        try:
            made = skeleton(config, one, arguments.trust_remote_code)
        except CODE_ERRORS as error:
            if one == "eager" or not isinstance(error, ValueError | ImportError):
                raise StepError(
                    f"{arguments.model_id}: the model cannot be made: {contract.in_one_line(error)}"
                ) from None
            continue
        _require_backbone(arguments, made)
        return one, made
    raise StepError(
        f"attn_implementation: {wanted}: a {config.model_type} model has no such attention here; write auto, which "
        "takes the fastest that it has"
    )


def _require_backbone(arguments: TrainArguments, model: PreTrainedModel) -> None:
    """
    Raises:
        StepError: the class does not keep what computes hidden states apart from its LM head, as TRL's loss needs it.
    """
    if model.base_model is model:
        raise StepError(
            f"{arguments.model_id}: TRL cannot train a {type(model).__name__}: its LM head is not apart from the rest; "
            "take a model of text alone, or of another family"
        )
