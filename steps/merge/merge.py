"""Merge: each shard of the base is read, its adapted weights are changed, and it is written, a block of rows at a time.

Whatever headers and configurations can tell is checked before anything is written; results are checked as they are
written. Memory holds a few blocks and the matrices of one weight, whatever the size of the model.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from steps.merge import logits
from steps.merge.fit.adapter import Adapter
from steps.merge.fit.as_trained import require_sound
from steps.merge.fit.base import Base
from steps.merge.fit.find_changes import find_changes
from steps.merge.fit.tensor_changes import Change
from steps.merge.fit.whole import require_embedded
from steps.merge.logits import Check
from steps.merge.write import journal, output_folder
from steps.merge.write.arithmetic import Arithmetic
from steps.merge.write.config_and_tokenizer import config_and_tokenizer, other_template
from steps.merge.write.journal import Journal
from steps.merge.write.progress import Progress
from steps.merge.write.shards import ShardWriter
from steps.shared import contract
from steps.shared.disks import filling
from steps.shared.folders import sole_writer
from steps.shared.model_folder import not_the_tokenizers
from steps.shared.templates.trained_with import trained_with
from steps.shared.weights.safetensors_file import TensorFile


def merge(base: Base, adapter: Adapter, folder: Path, check: Check) -> None:
    """Write the merged model to `folder`, complete with tokenizer and manifest, or raise.

    Raises:
        StepError: another run writes to the folder, the adapter does not fit the base, the result is not finite or not
            what base and adapter compute, or it cannot be written.
    """
    as_trained = require_sound(base, adapter.folder)
    changes = find_changes(base, adapter)
    others = config_and_tokenizer(base, adapter)
    require_embedded(base, others)
    if (own := other_template(others)) is not None:
        print(f"note: {not_the_tokenizers(own)}", flush=True)
    with filling(folder), sole_writer(folder):
        output_folder.check(folder)
        _write(base, adapter, changes, others, folder, check, as_trained)


def _write(
    base: Base,
    adapter: Adapter,
    changes: dict[str, Change],
    others: dict[str, Path],
    folder: Path,
    check: Check,
    as_trained: bool | None,
) -> None:
    """Write, or go on with, a merge that has been checked."""
    sizes = {shard.path.name: shard.path.stat().st_size for shard in base.shards}
    begin = time.monotonic()
    record = Journal(output_folder.reopen(folder), journal.identity(base, adapter))
    if record.recall():
        print(f"starting over: the interrupted merge in {folder} finished nothing of this base and adapter", flush=True)
        output_folder.clear(folder)
    if record.finished:
        print(f"continuing: {len(record.finished)} of {len(sizes)} weight files are finished, and verified", flush=True)
    written = sum(size for name, size in sizes.items() if name not in record.finished)
    output_folder.check_space(folder, written + sum(path.stat().st_size for path in others.values()))
    with output_folder.staged(folder) as staging:
        merge_shards(base, adapter, changes, staging, record, written)
        seconds = time.monotonic() - begin
        copy_files(others, staging)
        manifest = make_manifest(base, adapter, changes, staging, record)
        manifest["base"]["as_trained"] = as_trained
        manifest["logits"] = logits.check(base, adapter, staging, check)
        contract.write_json(staging / output_folder.MANIFEST, manifest)
    print(
        f"merged {len(changes)} of {len(base.tensors)} tensors into {folder}: {len(sizes)} weight file(s), "
        f"{written / 1e6:.1f} MB in {seconds:.1f} s ({written / 1e6 / seconds:.0f} MB/s)",
        flush=True,
    )


def merge_shards(
    base: Base, adapter: Adapter, changes: dict[str, Change], staging: Path, record: Journal, size: int
) -> None:
    """Write every shard that is not finished, under the base's name for it."""
    with (
        TensorFile(adapter.weights, adapter.tensors) as tensors,
        Progress(size) as progress,
        ShardWriter(changes, Arithmetic(tensors), progress.advance, record.record) as writer,
    ):
        for shard in base.shards:
            if shard.path.name not in record.finished:
                writer.write(shard, staging / shard.path.name)


def copy_files(others: dict[str, Path], staging: Path) -> None:
    for name, source in others.items():
        (staging / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, staging / name)


def make_manifest(
    base: Base, adapter: Adapter, changes: dict[str, Change], staging: Path, record: Journal
) -> dict[str, Any]:
    """Where the model came from, and hash and size of each of its files (steps/shared/served_files.py reads these)."""
    files = [path for path in sorted(staging.rglob("*")) if path.is_file() and path.name != journal.JOURNAL]
    names = [path.relative_to(staging).as_posix() for path in files]
    return {
        "base": {"name": base.name, "revision": base.revision},
        "adapter": {
            "weights_sha256": contract.sha256(adapter.weights),
            "config_sha256": contract.sha256(adapter.settings.path),
            "trained_on": adapter.settings.trained_on,
        },
        "chat_template": trained_with(adapter.folder),  # for who answers with the merged model
        "merged_tensors": len(changes),
        "files": {
            name: record.finished.get(name) or contract.sha256(path) for name, path in zip(names, files, strict=True)
        },
        "sizes": {name: path.stat().st_size for name, path in zip(names, files, strict=True)},
    }
