"""Files of the local state that cannot be read: each is named with what to do about it, and hurts no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from pipeline.errors import UserError

Found = TypeVar("Found")


class Damaged(UserError):
    """A file of the local state is not what was written there."""


def read(path: Path, what: str, parse: Callable[[str], Found], advice: str | None = None) -> Found:
    """What a file holds.

    Args:
        what: whose file it is, for the message.
        parse: may raise ValueError, as JSON's and pydantic's errors are.
        advice: what to do about it; by default, to restore it or to remove its folder, which must hold nothing else
            that anybody needs.

    Raises:
        FileNotFoundError: it is not there.
        Damaged: it cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # the last: it is nested too deep
        said = (
            f"{len(error.errors())} wrong values" if isinstance(error, ValidationError) else str(error).split("\n")[0]
        )
        todo = advice or f"restore it, or remove the folder {path.parent}; the others are not affected"
        raise Damaged(f"{path}: the file of {what} is damaged ({said or 'it is empty'}); {todo}") from None
