"""Whether the base is the one that was trained on, by the manifest that training leaves beside the adapter.

Training loads the base before it does anything, and refuses files that are not the whole model
(steps/train/model/load.py). Files that are still the same need no second loading; others may be as good (saved again in
other shards), and are checked as if nothing was known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.merge.fit.adapter import read_manifest
from steps.merge.fit.base import CONFIG, Base
from steps.merge.fit.loaded import require_all_tensors
from steps.merge.fit.whole import require_whole
from steps.shared.weights.identity import of_file


def require_sound(base: Base, adapter: Path | None = None) -> bool | None:
    """Check that the base's files are the whole model, by all that is known of them.

    Args:
        adapter: a folder with an adapter that was trained on the base; None where there is none.

    Returns:
        Whether configuration and weights are the files that training loaded; None where nothing tells.

    Raises:
        StepError: they are not the model that the configuration describes.
    """
    require_whole(base)
    other = changed_since_training(base, adapter) if adapter else None
    if other == []:
        return True
    require_all_tensors(base)
    if other is None:
        return None
    print(
        f"note: {base.folder} is not as training loaded it: {len(other)} of its files have other bytes or names, first "
        f"{other[0]}; if that is not meant, give the base that the adapter was trained on",
        flush=True,
    )
    return False


def changed_since_training(base: Base, adapter: Path) -> list[str] | None:
    """The names of those of the base's files, configuration first, that are not those that training loaded; None where
    the manifest, or what it tells of the base, is missing.

    Raises:
        StepError: the manifest is damaged.
    """
    manifest: Any = read_manifest(adapter)
    trained = manifest.get("base") if isinstance(manifest, dict) else None
    if not isinstance(trained, dict):
        return None
    files = (base.folder / CONFIG, *(shard.path for shard in base.shards))
    return [path.name for path in files if trained.get(path.name) != of_file(path)]
