"""Other people's text as something safe to look at: what would not be seen, or turn a line round, becomes a symbol.

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
LAYOUT = str.maketrans({"\n": "␊", "\t": "␉"})


def visible(text: str) -> str:
    """A text over as many lines as it has."""
    return HIDDEN.sub(_symbol, text)


def on_one_line(text: str) -> str:
    """A name, which has no business with line ends."""
    return visible(text).translate(LAYOUT)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"[U+{code:04X}]"
