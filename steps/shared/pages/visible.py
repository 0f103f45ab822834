"""Other people's text as something safe to look at: what would not be seen, or turn a line round, is spelt [U+202E].

Escaping for HTML is the template engine's work, after this. Line ends and tabs stay, unless a text is to stand on one
line; so do the joiners (U+200C, U+200D) that scripts and emoji are written with.
"""

from __future__ import annotations

import re

# Controls, soft hyphens, spaces of no width, marks and overrides of direction, line and paragraph separators, tags,
# surrogates and non-characters.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
LAYOUT = re.compile("[\n\t]")
LONGEST_NAME = 160


def visible(text: str) -> str:
    """A text over as many lines as it has."""
    return HIDDEN.sub(_spelt, text)


def name(text: str) -> str:
    """A name, on one line; the middle of a very long one is left out."""
    half = LONGEST_NAME // 2
    if len(text) > LONGEST_NAME:
        text = f"{text[:half]} … {text[-half:]}"
    spelt = LAYOUT.sub(_spelt, visible(text))
    return spelt if len(spelt) <= len(text) + half else f"{spelt[:half]} … {spelt[-half:]}"


def _spelt(match: re.Match[str]) -> str:
    return f"[U+{ord(match[0]):04X}]"
