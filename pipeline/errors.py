"""The one error a user is meant to read. Everything else that escapes is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can fix. `str(error)` is the whole text: what, where, how to fix it."""


def problems_error(where: str, problems: Iterable[str], fix: str) -> UserError:
    """One error for a list of problems, all of them named: `where: N problems`, a line each, then the next command."""
    problems = list(problems)
    count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
    return UserError("\n".join([f"{where}: {count}", *(f"  {problem}" for problem in problems), fix]))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean a, b?` for the nearest of `known`, or an empty string when nothing is near."""
    folded = {name.lower(): name for name in known}
    near = [folded[match] for match in difflib.get_close_matches(word.lower(), folded, n=3, cutoff=0.6)]
    return f"; did you mean {', '.join(near)}?" if near else ""
