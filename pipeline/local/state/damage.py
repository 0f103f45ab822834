"""Files of the local state that cannot be read or are gone: each is named, with what to do, and hurts no other."""

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
    text = None
    try:
        text = path.read_text(encoding="utf-8")
        return parse(text)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # the last: it is nested too deep
        todo = advice or f"restore it, or {advice_to_remove(path)}"
        raise Damaged(f"{path}: the file of {what} is damaged ({_wrong(text, error)}); {todo}") from None


def gone(path: Path, what: str) -> Damaged:
    """The error of a file that must be there, as its folder is, and is not."""
    return Damaged(f"{path}: the file of {what} is gone; restore it, or {advice_to_remove(path)}")


def advice_to_remove(path: Path) -> str:
    """What to do about a file that cannot be had back."""
    return f"remove the folder {path.parent}; the others are not affected"


def _wrong(text: str | None, error: Exception) -> str:
    if text is not None and not text.strip("\0 \r\n\t"):
        return "it is empty: the machine may have stopped while it was written"
    if isinstance(error, ValidationError):
        count = error.error_count()
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{count} wrong value{'s' * (count != 1)}, first {first['msg']}"
    return str(error).split("\n")[0] or type(error).__name__
