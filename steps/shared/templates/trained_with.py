"""What a chat template was given in training, by the manifest beside an adapter or a merged model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError

MANIFEST = "manifest.json"


def trained_with(folder: Path) -> dict[str, Any]:
    """The manifest's `chat_template`: the recipe's `chat_template_kwargs` as `kwargs`, and the run's `moment`. Nothing
    where there is no manifest, or one without it.

    Raises:
        StepError: the manifest is not JSON, or that part of it is no object. A list is somebody else's manifest.
    """
    file = folder / MANIFEST
    manifest = contract.read_json(file, "the manifest") if file.is_file() else {}
    told = manifest.get("chat_template", {}) if isinstance(manifest, dict) else {}
    if not isinstance(told, dict) or not isinstance(told.get("kwargs", {}), dict):
        raise StepError(f"{file}: chat_template must be an object that training wrote; copy the file again")
    return told


def trained_kwargs(folder: Path) -> dict[str, Any]:
    """The `chat_template_kwargs` of the training; none where the folder does not tell.

    Raises:
        StepError: the manifest is not JSON, or that part of it is no object.
    """
    return dict(trained_with(folder).get("kwargs", {}))
