"""The adapter to train, and which of the base's weights it and the 4-bit quantisation reach; before any weight is read.

peft is tried on a skeleton, the model on the meta device, so that what it refuses is one line and no traceback after
the weights are loaded. What gets no adapter though a recipe asks for it is found from the model's classes as well.
"""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.arguments import Attention, TrainArguments
from steps.train.model.base_config import fitting_attention, read_config, without_randomness
from steps.train.model.coverage import Coverage, log_shares, measure
from steps.train.model.language_part import language_linears, outside_language, require_inside
from steps.train.model.load import attention_implementation
from steps.train.model.shape import ALL_LINEAR
from steps.train.model.unfit_layers import not_linear, read_directly

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)

FUSED = re.compile(r"Cannot convert PEFT target\(s\) (.+) without also targeting (.+) because they are fused")


@dataclass(frozen=True)
class Places:
    """Where an adapter goes.

    Attributes:
        targets, excluded: as peft takes them.
        left_out: full names of layers that get no adapter although the recipe asks for it.
    """

    targets: str | list[str]
    excluded: str | list[str] | None
    left_out: list[str]


@dataclass(frozen=True)
class FittedAdapter:
    """
    Attributes:
        attention: the one that the model's class has and this machine runs.
        unquantised: what the quantisation is told to leave out, where it must leave out more than by default: layers
            whose weight the model's code reads by itself, for which a weight in NF4 has another shape.
    """

    attention: Attention
    places: Places
    unquantised: list[str]
    coverage: Coverage


@dataclass(frozen=True)
class Trial:
    """The skeleton of a model, and a copy with the adapter on."""

    fitted: FittedAdapter
    model: PreTrainedModel
    adapted: PeftModel


def fit_adapter(arguments: TrainArguments, *, first: bool = True) -> FittedAdapter:
    """What the recipe's adapter and quantisation come to on its base; the first of several processes logs it.

    Raises:
        StepError: the configuration cannot be read, the model has no such attention, or peft cannot put that adapter
            on it.
    """
    config = read_config(arguments)
    without_randomness(config)
    fitted = fit_on(arguments, config)
    if first:
        _log(arguments, config, fitted)
    return fitted


def _log(arguments: TrainArguments, config: PreTrainedConfig, fitted: FittedAdapter) -> None:
    wanted = attention_implementation(arguments)
    if fitted.attention != wanted:
        log.warning("attention: a %s model has no %s here; %s is used", config.model_type, wanted, fitted.attention)
    if fitted.places.left_out:
        log.info(
            "no adapter on %s: the model's code reads these weights itself, or they return more than a layer does",
            _short(fitted.places.left_out),
        )
    log_shares(arguments, fitted.coverage)


def fit_on(arguments: TrainArguments, config: PreTrainedConfig) -> FittedAdapter:
    """The same of a configuration, nothing logged.

    Raises:
        StepError: peft cannot put that adapter on this model, or transformers cannot make it.
    """
    return try_on(arguments, config).fitted


def try_on(arguments: TrainArguments, config: PreTrainedConfig) -> Trial:
    """The same with the skeletons on which it was tried.

    Raises:
        StepError: peft cannot put that adapter on this model, or transformers cannot make it.
    """
    from transformers.quantizers.base import get_keys_to_not_convert

    attention, model = fitting_attention(arguments, config, attention_implementation(arguments))
    direct = sorted(read_directly(model))
    unfit = sorted({*direct, *not_linear(model)})
    kept = [*direct, *get_keys_to_not_convert(model)] if direct else []
    places = _places(arguments, model, unfit)
    adapted = _try(arguments, model, unfit, places)
    fitted = FittedAdapter(attention, places, kept, measure(arguments, model, adapted, kept))
    return Trial(fitted, model, adapted)


def _places(arguments: TrainArguments, model: PreTrainedModel, unfit: Sequence[str]) -> Places:
    """All that the recipe asks for but the unfit; on a multimodal base, in its language model alone.

    Raises:
        StepError: `target_modules` names a module of a multimodal base that is not in its language model.
    """
    everywhere, outside = arguments.target_modules == [ALL_LINEAR], outside_language(model)
    inside = [name for name in unfit if not (outside and re.fullmatch(outside, name))]
    left_out = [name for name in inside if _is_target(name, arguments.target_modules)]
    targets: str | list[str] = ALL_LINEAR if everywhere else arguments.target_modules
    if outside is None:
        return Places(targets, left_out or None, left_out)
    if everywhere:
        targets = language_linears(model)
    else:
        require_inside(model, arguments.target_modules)
    return Places(targets, "|".join([outside, *map(re.escape, left_out)]), left_out)


def lora_config(arguments: TrainArguments, places: Places) -> LoraConfig:
    """peft's configuration of the adapter to train."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=arguments.lora_r,
        lora_alpha=arguments.lora_alpha,  # type: ignore[arg-type]  # peft says int, and takes any number
        lora_dropout=arguments.lora_dropout,
        target_modules=places.targets,
        exclude_modules=places.excluded,
        use_rslora=arguments.use_rslora,
    )


def _try(arguments: TrainArguments, model: PreTrainedModel, unfit: Sequence[str], places: Places) -> PeftModel:
    """The skeleton with the adapter on, but for the layers that are unfit for one.

    Raises:
        StepError: peft cannot put it on, or passes over a part of target_modules.
    """
    config = lora_config(arguments, places)
    try:
        adapted = _put_on(model, config)
    except _refusals() as error:
        raise _refusal(arguments, model, unfit, error) from None
    names = [name for name, _ in model.named_modules()]
    left = set(arguments.target_modules) & set(config.target_modules or ())  # the others became parameters
    unmatched = [one for one in sorted(left - {ALL_LINEAR}) if not any(_is_target(name, [one]) for name in names)]
    if unmatched:
        raise StepError(
            f"target_modules: {', '.join(unmatched)}: the model has no such module, and peft passes over it; these "
            f"would work: {_working(arguments, model, unfit)}"
        )
    return adapted


def _put_on(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """A copy of the skeleton with the adapter on; peft completes the configuration as it does so."""
    import torch
    from peft import get_peft_model

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(copy.deepcopy(model), config)


def _refusals() -> tuple[type[Exception], ...]:
    """What peft raises where it cannot put an adapter on a model."""
    from peft.utils.error import PeftError

    return (ValueError, TypeError, KeyError, AttributeError, RuntimeError, PeftError)


def _refusal(arguments: TrainArguments, model: PreTrainedModel, unfit: Sequence[str], error: Exception) -> StepError:
    """What peft says, in the recipe's words, with targets that were tried."""
    said, model_type = contract.first_line(error), model.config.model_type
    asked = ",".join(arguments.target_modules)
    if "lora_dropout" in said:
        return StepError(
            f"lora_dropout: {arguments.lora_dropout:g}: peft has no dropout for the experts and the router of a "
            f"{model_type} model, which are parameters and no layers; set lora_dropout: 0, or leave them out: "
            f"target_modules: {_working(arguments, model, unfit)}"
        )
    if match := FUSED.search(said):
        return StepError(
            f"target_modules: {match[1]} without {match[2]}: the experts of a {model_type} model hold both as one "
            "tensor; name both, or none of them"
        )
    if "No modules were targeted" in said or "All modules were excluded" in said:
        said = "the model's code reads these layers' weights itself, or they return more than a layer does"
    elif "not found in the base model" in said:
        said = "the model has none of these modules"
    else:
        said = f"peft cannot put an adapter on a {model_type} model this way: {said}"
    return StepError(f"target_modules: {asked}: {said}; these would work: {_working(arguments, model, unfit)}")


def _working(arguments: TrainArguments, model: PreTrainedModel, unfit: Sequence[str]) -> str:
    """Names of linear layers that each take an adapter by this recipe, as one writes them into it."""
    import torch

    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head and name not in unfit
    }
    return f"[{', '.join(sorted(name for name in linear if _takes(arguments, model, unfit, name)))}]"


def _takes(arguments: TrainArguments, model: PreTrainedModel, unfit: Sequence[str], name: str) -> bool:
    alone = arguments.model_copy(update={"target_modules": [name]})
    try:
        _put_on(model, lora_config(alone, _places(alone, model, unfit)))
    except StepError:
        return False  # it is not in the language model
    except _refusals():
        return False
    return True


def _is_target(name: str, targets: Sequence[str]) -> bool:
    return list(targets) == [ALL_LINEAR] or any(name == target or name.endswith(f".{target}") for target in targets)


def _short(names: Sequence[str]) -> str:
    """Full names by their last two parts, each once."""
    return ", ".join(sorted({".".join(name.split(".")[-2:]) for name in names}))
