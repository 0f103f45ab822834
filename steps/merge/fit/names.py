"""The names of a base's tensors in the loaded model, for which the adapter was trained, where its files have others.

transformers renames as it loads: parts of multimodal models moved, GPT-2's files lack a prefix, Nemotron-H's have
another. Its own rules are applied here to the names alone; no weight is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from steps.merge.fit.adapter import Adapter
from steps.merge.fit.base import Base, Shard
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.model_class import CODE_ERRORS, auto_class


@dataclass(frozen=True)
class Named:
    """A base under other names.

    Attributes:
        base: its tensors have the names of the loaded model; those that loading joins or splits keep their own.
        stored: a tensor's name in the files, by its name in `base`.
        model: the names of all tensors of the loaded model; empty where the files' names are the model's.
    """

    base: Base
    stored: dict[str, str]
    model: frozenset[str] = frozenset()


def as_in_model(base: Base, adapter: Adapter) -> Named:
    """The base with the names that the adapter knows: its own, where they are there, or else the loaded model's.

    Raises:
        StepError: transformers cannot make the model, or renames two tensors to the same name.
    """
    own = Named(base, {name: name for name in base.tensors})
    return own if _has_modules(base, adapter) else _as_loaded(base)


def _has_modules(base: Base, adapter: Adapter) -> bool:
    """Whether everything that the adapter changes stands in the files under its name in the model."""
    owners = {name.rpartition(".")[0] for name in base.tensors}
    owners |= {owner.rpartition(".experts.")[0] + ".experts" for owner in owners if ".experts." in owner}
    modules = {lora.module.partition(".base_layer")[0] for lora in adapter.loras}
    return modules <= owners and (base.tied or adapter.replacements.keys() <= base.tensors.keys())


def _as_loaded(base: Base) -> Named:
    import torch
    from transformers import AutoConfig
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming, dot_natural_key, rename_source_key

    try:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = auto_class(config).from_config(config, trust_remote_code=False)
    except CODE_ERRORS as error:
        reason = contract.first_line(error)
        raise StepError(
            f"{base.folder}: its tensors have other names than the adapter's, and transformers cannot tell how it "
            f"renames them: {reason}; merge with an environment that loads the base, or give another --base"
        ) from None
    rules = [rule for rule in get_model_conversion_mapping(model) if isinstance(rule, WeightRenaming)]
    wanted = model.state_dict()
    stored: dict[str, str] = {}
    for name in sorted(base.tensors, key=dot_natural_key):
        renamed, _ = rename_source_key(name, rules, [], model.base_model_prefix, wanted)
        if renamed in stored:
            raise StepError(f"{base.folder}: {stored[renamed]} and {name} are both loaded as {renamed}; see its origin")
        stored[renamed] = name
    names = {name: renamed for renamed, name in stored.items()}
    shards = tuple(
        Shard(shard.path, {names[name]: tensor for name, tensor in shard.tensors.items()}) for shard in base.shards
    )
    return Named(replace(base, shards=shards), stored, frozenset(wanted))
