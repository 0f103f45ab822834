"""Save the trained adapter and nothing else; load it back into a model that is sharded or not.

Stock FSDP2 saving gathers the whole frozen base, and peft's own save can leave an empty file with exit code 0 when
blocks are wrapped for activation checkpointing. Here only trainable tensors are gathered, on all ranks; rank 0 writes
them and checks what it wrote.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from steps.shared.contract import StepError, first_line
from steps.shared.weights.safetensors_file import Stored

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch.distributed.checkpoint.state_dict import ValueType
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
TRAINED, REFERENCE = "default", "ref"  # peft's name of the one adapter, and TRL's of the frozen one beside it


def base_of(model: PeftModel) -> PreTrainedModel:
    """The base as transformers loaded it, with the adapter's layers in it."""
    return cast("PreTrainedModel", model.get_base_model())  # peft says Module: it wraps others too


def gather(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The adapter's tensors, whole and on the CPU, under peft's file names: of a module with a weight of
    [outputs, inputs], lora_A [rank, inputs] and lora_B [outputs, rank]. All ranks must call it together."""
    import torch
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    state = get_model_state_dict(model, options=options)
    # Tied embeddings come along although they are frozen: only what is the trained adapter's is kept.
    trained = {
        _file_name(name): value.contiguous()
        for name, value in state.items()
        if "lora_" in name and f".{TRAINED}." in name and isinstance(value, torch.Tensor)
    }
    return trained


def save(state: dict[str, torch.Tensor], model: PeftModel, folder: Path, base_model: str) -> None:
    """Write the adapter, as `gather` gives it, and its config; the file appears whole or not at all.

    Raises:
        StepError: there is nothing to save, or a tensor holds NaN or infinity.
    """
    from safetensors.torch import save_file

    if not state:
        raise StepError("the adapter is empty: no LoRA tensor is trainable; check target_modules")
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise StepError(f"the adapter holds NaN or infinity, first in {broken[0]}; lower learning_rate")
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / (WEIGHTS + ".tmp")
    save_file(state, beside, metadata={"format": "pt"})
    beside.chmod(0o644)
    os.replace(beside, folder / WEIGHTS)
    config: dict[str, Any] = model.peft_config[TRAINED].to_dict()
    config["base_model_name_or_path"] = base_model
    config["inference_mode"] = True
    text = json.dumps({key: _plain(value) for key, value in config.items()}, indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def load(model: torch.nn.Module, folder: Path) -> None:
    """Put a saved adapter's tensors into `model`. All ranks must call it together; only the first one reads the file,
    which another node may not have.

    Raises:
        StepError: the file cannot be read, or does not hold exactly the adapter that the model has; on every rank.
    """
    from steps.train.runtime import ranks

    saved: dict[str, torch.Tensor] = {}
    ranks.done_by_first(lambda: saved.update(_read(folder / WEIGHTS)))
    put(model, saved, folder / WEIGHTS)


def _read(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise StepError(f"{path}: the adapter cannot be read: {first_line(error)}") from None


def put(model: torch.nn.Module, saved: dict[str, torch.Tensor], source: Path) -> None:
    """Put an adapter's tensors, as `gather` gives them on the first rank, into the trained one. All ranks must call it
    together; the first one's tensors count, the others' are not looked at.

    Raises:
        StepError: they are not exactly the adapter that the model has; `source` is named. On every rank.
    """
    import torch.distributed as dist
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
    from torch.distributed.fsdp import FSDPModule

    from steps.train.runtime import ranks

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # the outermost keeps its weights gathered after a forward pass
    ranks.done_by_first(lambda: _require_fit(model, saved, source))
    wanted = {_file_name(name): name for name, parameter in model.named_parameters() if parameter.requires_grad}
    ours = saved if ranks.is_first() else {}
    state: dict[str, ValueType] = {_clean(wanted[name]): tensor for name, tensor in ours.items()}
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=dist.is_initialized(), strict=False)
    set_model_state_dict(model, state, options=options)


def _require_fit(model: torch.nn.Module, saved: Mapping[str, torch.Tensor], source: Path) -> None:
    if reason := misfit(model, saved):
        raise StepError(f"{source}: {reason}")


def misfit(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor | Stored]) -> str | None:
    """Why tensors of an adapter's file, or their headers, are not those of the trained adapter; None where they are."""
    wanted = {_file_name(name): tuple(one.shape) for name, one in model.named_parameters() if one.requires_grad}
    if tensors.keys() != wanted.keys():
        return f"holds {len(tensors)} tensors, the model's adapter has {len(wanted)} others"
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != wanted[name]:
            sizes = f"{list(tensor.shape)}, the model's adapter has {list(wanted[name])}"
            return f"{name} is {sizes}; it was trained on another model"
    return None


def _clean(name: str) -> str:
    return name.replace("._checkpoint_wrapped_module", "")


def _file_name(name: str) -> str:
    """A parameter's name as peft writes it into a file."""
    return _clean(name).replace(f".{TRAINED}.", ".")


def _plain(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    return getattr(value, "value", value)  # peft keeps enums in its config
