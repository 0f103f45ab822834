"""The earlier LoRA adapter that training continues from, such as the last approved model's.

DPO's reference is then the model that training starts from, the base with the earlier adapter on: a second, frozen copy
named "ref" lies beside the trained adapter, as TRL does it (trl/trainer/dpo_trainer.py, 1.16). So the first loss is
ln 2 again, beta pulls to the earlier model and not past it to the base, and the held-out figures say what this training
added to it. The adapter's rank, scale and modules must be the recipe's, since it goes on training as it is: `problems`
compares them from configuration and header alone, without torch, as `python pipeline.py check` does; `check`, in the
job, reads the values too, before any weight of the base is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.lora_settings import CONVERT, beyond_plain, malformed, named
from steps.shared.weights.safetensors_file import Stored, read_header
from steps.train.arguments import TrainArguments
from steps.train.model import adapter
from steps.train.model.shape import ModelShape, known_shape

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

PREFIX = "base_model.model."  # peft's, before the name that the base gives a module
# What peft writes for `all-linear` on a mixture whose experts are one tensor (transformers_weight_conversion.py): the
# experts and the router as parameters, gate and up as one matrix of twice the rank and the scale of both.
FUSED = r".*\.gate_up_proj"
OF_MIXTURES = frozenset({"gate.weight", "gate_up_proj", "down_proj"})


def check(arguments: TrainArguments) -> str | None:
    """The SHA-256 of the earlier adapter, weights and configuration; None without one.

    Raises:
        StepError: the folder holds no adapter, or one that does not go with the recipe, with every problem; or its
            weights are not finite.
    """
    if arguments.initial_adapter is None:
        return None
    folder = Path(arguments.initial_adapter)
    shape, _ = known_shape(arguments)
    found = problems(folder, arguments, shape) or list(broken_values(folder / adapter.WEIGHTS))
    if found:
        lines = [f"initial_adapter: {folder} does not fit:", *(f"  {line}" for line in found)]
        if arguments.continue_from_champion:
            lines[0] = f"continue_from_champion: version {arguments.champion_version or 'unknown'} does not fit:"
            lines.append("Fix the recipe, or train a fresh adapter: --set ContinueFromChampion=false")
        raise StepError("\n".join(lines))
    config = contract.read_json(folder / adapter.CONFIG, "the initial adapter's configuration")
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    digest.update(contract.sha256(folder / adapter.WEIGHTS).encode())
    log.info("continuing from the adapter in %s: it is also the reference", folder)
    return digest.hexdigest()


def problems(folder: Path, arguments: TrainArguments, shape: ModelShape | None) -> list[str]:
    """Every setting of the adapter, and every name and size in its file, that does not go with the arguments.

    Args:
        shape: the base's, where it is known; without it modules are not compared.

    Raises:
        StepError: the folder holds no whole adapter.
    """
    if not folder.is_dir():
        raise StepError(f"initial_adapter: {folder}: there is no such folder; name one that training wrote")
    for name in (adapter.CONFIG, adapter.WEIGHTS):
        if not (folder / name).is_file():
            raise StepError(f"initial_adapter: {folder}: {name} is missing; name the folder that training wrote")
    config = contract.read_json(folder / adapter.CONFIG, "the initial adapter's configuration")
    tensors = read_header(folder / adapter.WEIGHTS)
    if not tensors:
        raise StepError(f"initial_adapter: {folder / adapter.WEIGHTS}: holds no tensor; train that adapter again")
    return [*_settings(config, arguments), *_tensors(tensors, arguments, shape)]


def _settings(config: Any, arguments: TrainArguments) -> Iterator[str]:
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        yield f"{adapter.CONFIG} is not a LoRA adapter's"
        return
    if wrong := malformed(config):
        yield f"{adapter.CONFIG}: {wrong}; save the adapter again with peft"
        return
    pairs = [("r", arguments.lora_r, "lora_r"), ("lora_alpha", arguments.lora_alpha, "lora_alpha")]
    pairs.append(("use_rslora", arguments.use_rslora, "use_rslora"))
    for key, wanted, argument in pairs:
        has = config.get(key, False)
        if has != wanted:
            had, wants = _plain(has), _plain(wanted)
            yield f"{argument}: the adapter has {had}, the recipe {wants}; set {argument}: {had}"
    trained_on, base = str(config.get("base_model_name_or_path")), arguments.base_model_name or arguments.model_id
    if trained_on.rstrip("/") != base.rstrip("/"):
        yield (
            f"model_id: the adapter was trained on {trained_on}, the recipe's base is {base}; train from that base, or "
            "where both are the same model say so with base_model_name"
        )
    if more := not_plain(config):
        fix = f"{CONVERT}, or train a fresh adapter" if "init_lora_weights" in more else "train a fresh adapter"
        yield f"{adapter.CONFIG}: {named(more)}: only plain LoRA can be continued; {fix}"


def not_plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under which an adapter is more, or something else, than `B @ A` with one factor everywhere."""
    fused = frozenset({"rank_pattern", "alpha_pattern"}) if _fuses_experts(config) else frozenset()
    return beyond_plain(config, fused)


def _fuses_experts(config: Mapping[str, Any]) -> bool:
    """Whether the patterns are those that peft itself writes for a mixture of experts."""
    wanted = ({FUSED: 2 * config["r"]}, {FUSED: 2 * config["lora_alpha"]})
    parameters = set(config.get("target_parameters") or ())
    return (config.get("rank_pattern"), config.get("alpha_pattern")) == wanted and parameters <= OF_MIXTURES


def layer_ranks(tensors: Mapping[str, Stored]) -> set[int]:
    """The ranks of an adapter's matrices on layers; on a mixture's experts a rank is that of all experts together."""
    layers = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    return {tensor.shape[0 if ".lora_A." in name else -1] for name, tensor in layers.items()}


def _tensors(tensors: dict[str, Stored], arguments: TrainArguments, shape: ModelShape | None) -> Iterator[str]:
    ranks = layer_ranks(tensors)
    if ranks and ranks != {arguments.lora_r}:
        yield f"{adapter.WEIGHTS}: matrices of rank {', '.join(map(str, sorted(ranks)))}, lora_r is {arguments.lora_r}"
    if shape is None:  # of a family not known here: `adapter.load` compares every name once the model is there
        return
    has = {name.removeprefix(PREFIX).partition(".lora_")[0] for name in tensors}
    wanted = {module.name for module in shape.adapted(arguments.target_modules)}
    if has != wanted:
        yield _other_modules(has, wanted, arguments)


def _other_modules(has: set[str], wanted: set[str], arguments: TrainArguments) -> str:
    """How the adapter's modules differ from those that the recipe names, and what to do."""
    kinds, asked = (sorted({name.rpartition(".")[2] for name in names}) for names in (has, wanted))
    text = (
        f"target_modules: the adapter has {len(has)} modules ({','.join(kinds)}), the recipe's target_modules "
        f"({','.join(arguments.target_modules)}) name {len(wanted)} in the model"
    )
    if kinds != asked:
        return f"{text}; write target_modules: [{','.join(kinds)}]"
    lacking, more = sorted(wanted - has), sorted(has - wanted)
    differs = [f"it lacks {len(lacking)}, first {lacking[0]}"] if lacking else []
    differs += [f"{len(more)} are not of this model, first {more[0]}"] if more else []
    return f"{text}: {'; '.join(differs)}; it was not trained by such a recipe: train a fresh adapter"


def broken_values(path: Path) -> Iterator[str]:
    """A line where the file holds NaN or infinity."""
    from safetensors.torch import load_file

    broken = [name for name, tensor in load_file(path).items() if not tensor.isfinite().all()]
    if broken:
        yield f"{adapter.WEIGHTS}: {len(broken)} tensors hold NaN or infinity, first {broken[0]}; use another adapter"


def _plain(value: Any) -> str:
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def wrap(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """The base with an adapter to train: TRL, handed it so, adds the frozen copy that is the reference."""
    from peft import get_peft_model

    return get_peft_model(model, config)


def load(model: PeftModel, folder: Path) -> None:
    """Put the earlier adapter into the trained one and into the reference, both in float32.

    After TRL is done with the model: it rounds the adapter of a quantised model to bfloat16, and then policy and
    reference would not be the same.

    Raises:
        StepError: the file does not hold exactly the adapter that the model has.
    """
    adapter.load(model, folder)
    for name, parameter in model.named_parameters():
        if f".{adapter.TRAINED}." in name:
            reference = model.get_parameter(name.replace(f".{adapter.TRAINED}.", f".{adapter.REFERENCE}."))
            reference.data = parameter.data.clone()
            if reference.requires_grad or not parameter.requires_grad:
                raise RuntimeError(f"{name}: the trained adapter must train, and the reference must not")
