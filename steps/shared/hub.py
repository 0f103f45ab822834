"""One rule for telling a hub model from a folder, shared by the definition and the containers."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")  # owner/name


def is_hub_name(model: str) -> bool:
    """Whether `model` names a model of the hub (`owner/name`); a folder of that name wins."""
    return not Path(model).is_dir() and _NAME.fullmatch(model) is not None
