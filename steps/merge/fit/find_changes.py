"""Compare an adapter with a base: which of the base's tensors change, and how. All from headers and configurations.

Every tensor of the adapter finds its place in the base, in the shape it fits, or the merge is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from steps.merge.fit import experts
from steps.merge.fit.adapter import Adapter, Lora
from steps.merge.fit.base import HEADS, Base
from steps.merge.fit.names import Named, as_in_model
from steps.merge.fit.peft_settings import require_quick
from steps.merge.fit.tensor_changes import Change, Product, another_base, refusal
from steps.shared.contract import StepError
from steps.shared.weights.safetensors_file import FLOATS, TensorFile

# Their linear layers are transformers' Conv1D, whose weights are stored as [inputs, outputs]. peft goes by the class
# of the layer; where a weight is square, its shape does not tell.
CONV1D = frozenset({"clvp", "decision_transformer", "gpt2", "imagegpt", "openai-gpt"})
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "tokens_embed.weight")


def find_changes(base: Base, adapter: Adapter) -> dict[str, Change]:
    """The changes, by the name that the base's tensor has in its file.

    Raises:
        StepError: the adapter belongs to another base, or changes a weight that cannot be merged, or has a pattern for
            modules that takes too long.
    """
    require_quick(adapter.settings, {name.rpartition(".")[0] for name in base.tensors})
    named = as_in_model(base, adapter)
    return {named.stored[name]: change for name, change in _changes(named, adapter).items()}


def _changes(named: Named, adapter: Adapter) -> dict[str, Change]:
    base = named.base
    replacements = _replacements(base, adapter)
    layers, parameters = _by_kind(base, adapter)
    names = [*replacements, *(f"{lora.module}.weight" for lora in layers)]
    missing = sorted(name for name in names if name not in base.tensors)
    if joined := [name for name in missing if name in named.model]:
        what = f"{joined[0]}, which {base.name} stores as other tensors, that are joined or split as it is loaded"
        raise refusal(adapter, what)
    if missing:
        what = f"{len(missing)} of {len(names)} adapted weights are not there, first {missing[0]}"
        raise another_base(adapter, base, what)
    changes = {name: Change(replacement=own) for name, own in replacements.items()}
    for name, own in replacements.items():
        _check_shape(base, adapter, name, adapter.tensors[own].shape)
    added = [pair for lora in layers for pair in _layer(base, adapter, lora)]
    for module, loras in parameters.items():
        targeted = adapter.settings.targeted_parameters(module)
        added += [
            (name, Change(product=product)) for name, product in experts.place(base, adapter, module, loras, targeted)
        ]
    for name, change in added:
        changes[name] = replace(change, replacement=replacements.get(name))
    for name in changes:
        if base.tensors[name].dtype not in FLOATS:
            raise StepError(
                f"{base.folder}: {name}: cannot merge into {base.tensors[name].dtype}; give the original as --base"
            )
    _check_used(adapter, changes, replacements)
    return changes


def _check_used(adapter: Adapter, changes: dict[str, Change], replacements: dict[str, str]) -> None:
    """Every tensor of the adapter is part of a change; the second copy of a tied layer is, as the first."""
    unused = adapter.tensors.keys() - (set(adapter.replacements.values()) - set(replacements.values()))
    for change in changes.values():
        unused -= {change.replacement, change.bias}
        if change.product:
            unused -= {change.product.a, change.product.b, change.product.magnitude}
    if unused:
        raise refusal(adapter, f"{len(unused)} of its tensors change nothing, first {min(unused)}")


def _by_kind(base: Base, adapter: Adapter) -> tuple[list[Lora], dict[str, list[Lora]]]:
    """LoRA on layers, and by module LoRA on its parameters, whose wrappers peft nests as `.base_layer`.

    What peft writes for a mixture names parameters without their module (`down_proj`, `gate.weight`), which every
    module's name fits: a layer has none of these but its weight.
    """
    layers, parameters = [], defaultdict(list)
    for lora in adapter.loras:
        module = lora.module
        while module.endswith(".base_layer"):
            module = module.removesuffix(".base_layer")
        names = adapter.settings.targeted_parameters(module)
        bare = adapter.settings.bare_parameters
        is_layer = f"{module}.weight" in base.tensors and bare.issuperset(names)
        if names and not lora.embedding and not is_layer:
            parameters[module].append(lora)
        else:
            layers.append(lora)
    return layers, parameters


def _replacements(base: Base, adapter: Adapter) -> dict[str, str]:
    """The adapter's whole tensors by the base's that they replace. A base whose head is tied holds a common one.

    LoRA on a tied layer would change the other one too once it is merged. That is what peft does, and it is not the
    model that was trained. A trained copy of one of them needs a base without the tie.
    """
    if not base.tied:
        return adapter.replacements
    for lora in adapter.loras:
        if f"{lora.module}.weight".endswith(EMBEDDINGS + HEADS):
            what = f"an update of {lora.module}, where {base.name} ties embeddings and head"
            raise refusal(adapter, what, "train without it, or register the adapter without merging")
    copies = {name: own for name, own in adapter.replacements.items() if name.endswith(EMBEDDINGS + HEADS)}
    if not copies:
        return adapter.replacements
    with TensorFile(adapter.weights, adapter.tensors) as file:
        contents = [file.tensor(own) for own in copies.values()]
    if len(contents) != 2 or contents[0].shape != contents[1].shape or not contents[0].equal(contents[1]):
        named = " and ".join(sorted(copies))
        what = f"a trained copy of {named}, where {base.name} ties embeddings and head"
        raise refusal(adapter, what, "train both with ensure_weight_tying, or register the adapter without merging")
    return {name: own for name, own in adapter.replacements.items() if name not in copies or name in base.tensors}


def _layer(base: Base, adapter: Adapter, lora: Lora) -> Iterator[tuple[str, Change]]:
    """The change of a layer's weight, and of its bias where LoRA trained one."""
    weight, bias = f"{lora.module}.weight", f"{lora.module}.bias"
    scale = adapter.settings.scale(lora.module, lora.rank)
    transposed = lora.embedding or _is_conv1d(base, adapter, lora)
    fits = (lora.inputs, lora.outputs) if transposed else (lora.outputs, lora.inputs)
    _check_shape(base, adapter, weight, fits)
    rounded = lora.magnitude is None and (lora.embedding or bool(experts.ONE_EXPERT.fullmatch(lora.module)))
    yield weight, Change(product=Product(lora.a, lora.b, scale, transposed, rounded=rounded, magnitude=lora.magnitude))
    if lora.bias:
        if bias not in base.tensors:
            raise refusal(adapter, f"lora_bias true for {lora.module}, which has no bias in {base.name}")
        _check_shape(base, adapter, bias, (lora.outputs,))
        yield bias, Change(bias=lora.bias, bias_scale=scale)


def _is_conv1d(base: Base, adapter: Adapter, lora: Lora) -> bool:
    known = base.model_type in CONV1D
    if not known and not adapter.settings.fan_in_fan_out:
        return False
    if lora.inputs != lora.outputs:
        return base.tensors[f"{lora.module}.weight"].shape == (lora.inputs, lora.outputs)
    if not known:
        raise refusal(adapter, f"fan_in_fan_out true for {lora.module}, a square weight of a {base.model_type} model")
    return True


def _check_shape(base: Base, adapter: Adapter, name: str, fits: tuple[int, ...]) -> None:
    stored = base.tensors[name].shape
    if stored != fits:
        what = f"{name}: the adapter fits a weight of {list(fits)}, in the base it is {list(stored)}"
        raise another_base(adapter, base, what)
