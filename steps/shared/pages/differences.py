"""Where one text says something else than another, word by word.

Python's difflib (Ratcliff and Obershelp's matching blocks): a mark is what the one has and the other has not in that
place. Limits: it knows no meaning, so that the same call written with its arguments in another order is marked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

WORD = re.compile(r"\w+|\s+|[^\w\s]")  # a word or number, white space, or one sign


@dataclass(frozen=True)
class Piece:
    """A part of a text: `differs` where the other text does not have it in that place."""

    text: str
    differs: bool


def pieces(text: str, other: str) -> list[Piece]:
    """The text in parts, one after the other; joined they are the text. White space alone is no difference."""
    words, others = WORD.findall(text), WORD.findall(other)
    blocks = SequenceMatcher(str.isspace, words, others).get_matching_blocks()
    found: list[Piece] = []
    at = 0
    for start, _, length in blocks:  # the last one is empty, at the end
        _add(found, words[at:start], differs=True)
        _add(found, words[start : start + length], differs=False)
        at = start + length
    return found


def _add(found: list[Piece], words: list[str], *, differs: bool) -> None:
    text = "".join(words)
    if not text:
        return
    differs = differs and not text.isspace()
    if found and found[-1].differs == differs:
        text = found.pop().text + text
    found.append(Piece(text, differs))
