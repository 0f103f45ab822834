"""One rule for telling a hub model from a folder, shared by the definition and the containers."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)  # owner/name
NAME_LIMIT = 96  # the hub's, in characters


def is_hub_name(model: str) -> bool:
    """Whether `model` names a model of the hub (`owner/name`); a folder of that name wins."""
    return not Path(model).is_dir() and _NAME.fullmatch(model) is not None


def name_problem(name: str) -> str | None:
    """Why the hub can have no model of this name; None where it can."""
    if _NAME.fullmatch(name) and len(name) <= NAME_LIMIT:
        return None
    return f"{name!r} is no name of a hub model: owner/name, of letters, digits, `.`, `_`, `-`, at most {NAME_LIMIT}"
