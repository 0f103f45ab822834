"""Merge: each shard of the base is read, its adapted weights get `B @ A * scale`, and it is written, one at a time.

Bitwise what peft's merge_and_unload gives for the same dtype: the update is computed and added in float32, and the sum
is rounded once, to the weight's own dtype. Whatever headers and configs can tell is checked before anything is written.
At most one shard's tensors, the adapter and one update are in memory.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps import contract
from steps.contract import StepError
from steps.merge import base as base_model
from steps.merge import output
from steps.merge.adapter import FLOATS, Adapter, Update
from steps.merge.base import Base, Shard

if TYPE_CHECKING:
    import torch

TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")
SECONDS_BETWEEN_LINES = 3


def merge(base: Base, adapter: Adapter, folder: Path) -> None:
    """Write the merged model to `folder`, complete with tokenizer and manifest, or raise and leave nothing.

    Raises:
        StepError: the adapter does not fit the base, the result is not finite, or it cannot be written.
    """
    check_fit(base, adapter)
    extras = extra_files(base, adapter)
    size = sum(path.stat().st_size for path in [*extras.values(), *(shard.path for shard in base.shards)])
    begin = time.monotonic()
    with output.staged(folder, size) as staging:
        merge_shards(base, adapter, staging)
        for name, source in extras.items():
            (staging / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, staging / name)
        files = [path for path in sorted(staging.rglob("*")) if path.is_file()]
        manifest = {
            "base": {"name": base.name, "revision": base.revision},
            "adapter": {"weights_sha256": contract.sha256(adapter.weights), "trained_on": adapter.trained_on},
            "merged_tensors": len(adapter.updates),
            "files": {path.relative_to(staging).as_posix(): contract.sha256(path) for path in files},
        }
        contract.write_json(staging / output.MANIFEST, manifest)
    seconds = time.monotonic() - begin
    tensors = sum(len(shard.tensors) for shard in base.shards)
    print(
        f"merged {len(adapter.updates)} of {tensors} tensors into {folder}: {len(base.shards)} weight file(s), "
        f"{size / 1e6:.1f} MB in {seconds:.1f} s ({size / 1e6 / seconds:.0f} MB/s)",
        flush=True,
    )


def check_fit(base: Base, adapter: Adapter) -> None:
    """Every weight that the adapter changes is in the base, in the shape it fits: so all of the adapter is used.

    Raises:
        StepError: the adapter belongs to another base, or changes a weight that cannot be merged.
    """
    another = (
        f"the adapter was trained on another base ({adapter.trained_on or 'its config names none'}): give that one"
    )
    if "lm_head.weight" in adapter.updates and (base.tied or base.find("lm_head.weight") is None):
        raise StepError(
            f"{adapter.folder}: not supported by the merge: an update of lm_head, which {base.name} ties to its "
            "embeddings; train without lm_head among target_modules, or register the adapter without merging"
        )
    missing = [name for name in adapter.updates if base.find(name) is None]
    if missing:
        raise StepError(
            f"{adapter.folder}: {len(missing)} of {len(adapter.updates)} adapted weights are not in {base.name}, "
            f"first {missing[0]}; {another}"
        )
    for name, update in adapter.updates.items():
        stored = base.find(name)
        if stored.shape != update.shape:
            raise StepError(
                f"{adapter.folder}: {name}: the adapter fits a weight of {list(update.shape)}, "
                f"in {base.name} it is {list(stored.shape)}; {another}"
            )
        if stored.dtype not in FLOATS:
            raise StepError(f"{base.folder}: {name}: cannot merge into {stored.dtype}; give the original as --base")


def extra_files(base: Base, adapter: Adapter) -> dict[str, Path]:
    """Everything but the weights: configuration from the base, tokenizer and chat template as they were trained with.

    A tokenizer is taken whole from one folder: two folders' files mixed could load and be wrong. The same holds for
    templates, which come with the adapter's tokenizer wherever it has one (a template can be inside its config).

    Raises:
        StepError: neither folder has a tokenizer.
    """
    own = _matching(adapter.folder, TOKENIZER)
    own_tokenizer = any(name in own for name in VOCABULARIES)
    tokenizer = own if own_tokenizer else _matching(base.folder, TOKENIZER)
    if not any(name in tokenizer for name in VOCABULARIES):
        raise StepError(
            f"{base.folder}: no tokenizer there or in {adapter.folder}: tokenizer.json is missing; "
            "save the tokenizer beside the base"
        )
    templates = _matching(adapter.folder, TEMPLATES)
    if not templates and not own_tokenizer:
        templates = _matching(base.folder, TEMPLATES)
    configs = _matching(base.folder, (base_model.CONFIG, "generation_config.json"))
    sharded = base.shards[0].path.name != base_model.SINGLE
    index = {base_model.INDEX: base.folder / base_model.INDEX} if sharded else {}
    return configs | index | tokenizer | templates


def _matching(folder: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for pattern in patterns for path in sorted(folder.glob(pattern))}


def merge_shards(base: Base, adapter: Adapter, staging: Path) -> None:
    """Write every shard under its own name; one without an adapted tensor is copied as a file."""
    tensors = sum(len(shard.tensors) for shard in base.shards)
    done = written = 0
    begin = last = time.monotonic()
    for shard in base.shards:
        if shard.tensors.keys() & adapter.updates.keys():
            _merge_shard(shard, adapter, staging / shard.path.name)
        else:
            shutil.copyfile(shard.path, staging / shard.path.name)
        done, written = done + len(shard.tensors), written + shard.path.stat().st_size
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and shard is not base.shards[-1]:
            last = now
            print(f"{done} of {tensors} tensors, {written / 1e6 / (now - begin):.0f} MB/s", flush=True)


def _merge_shard(shard: Shard, adapter: Adapter, target: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    with safe_open(shard.path, framework="pt") as weights, safe_open(adapter.weights, framework="pt") as matrices:
        for name in shard.tensors:
            tensors[name] = weights.get_tensor(name)
            if name in adapter.updates:
                where = f"{shard.path}: {name}"
                tensors[name] = merge_tensor(tensors[name], matrices, adapter.updates[name], where)
        save_file(tensors, target, metadata={"format": "pt"})
    target.chmod(0o644)  # save_file leaves it to its owner alone, and serving runs as another user


def merge_tensor(weight: torch.Tensor, matrices: Any, update: Update, where: str) -> torch.Tensor:
    """The weight with its update.

    Raises:
        StepError: the result holds NaN or infinity; whose fault that is stands in the message.
    """
    import torch

    # Copies: inside a mapped file a matrix may lie at any address, while peft multiplies aligned ones; which kernel
    # multiplies, and so the last bit, may depend on it.
    a = matrices.get_tensor(update.a).to(torch.float32, copy=True)
    b = matrices.get_tensor(update.b).to(torch.float32, copy=True)
    merged = (b @ a).mul_(update.scale).add_(weight).to(weight.dtype)
    if not all(extreme.isfinite() for extreme in merged.aminmax()):  # 5 times faster than isfinite on all
        if not weight.isfinite().all():
            raise StepError(f"{where}: holds NaN or infinity already in the base; copy or download the base again")
        broken = not (a.isfinite().all() and b.isfinite().all())
        cause = "its adapter matrices hold them" if broken else f"the sum is too large for {weight.dtype}"
        raise StepError(f"{where}: merging gives NaN or infinity: {cause}; train again with a lower learning_rate")
    return merged
