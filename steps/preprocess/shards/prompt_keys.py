"""What makes two prompts the same one, and which prompts are held out: functions of the prompt alone."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator

from steps.shared.records import Messages, canonical, content

LOWER_CASE = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
ASCII_SPACE = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"  # what str.split() takes for white space, in ASCII

PIECE = 1024  # characters


def prompt_key(prompt: Messages) -> bytes:
    """What makes two prompts the same one: their texts and calls, without the tools, as 16 bytes.

    Case, Unicode form (NFKC) and white space do not count, so that a prompt typed twice does not leak.
    """
    parts: list[str] = []
    for message in prompt:
        parts += (message["role"], "\1", message["content"], "\2")
        if "tool_calls" in message:
            parts.append(canonical(content([message])[0]["tool_calls"]).decode())
    text = "".join(parts)
    if text.isascii():
        return hashlib.sha256(text.encode().translate(LOWER_CASE, ASCII_SPACE)).digest()[:16]
    digest = hashlib.sha256()
    for piece in _pieces(text):
        digest.update("".join(unicodedata.normalize("NFKC", piece).casefold().split()).encode())
    return digest.digest()[:16]


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces that can be brought into their Unicode form apart: some forms are 18 times as long, and marks
    without end on one letter, which no writing has, would be sorted in a time that grows with their square."""
    start = 0
    while start < len(text):
        end = start + PIECE
        while end < min(len(text), start + 2 * PIECE) and not _begins_anew(text[end]):
            end += 1
        yield text[start:end]
        start = end


def _begins_anew(character: str) -> bool:
    """Whether a character never becomes one with those before it: it is no mark, nor one of Hangul's later letters."""
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.category(first)[0] != "M" and not "\u1160" <= first <= "\u11ff"


def validation_limit(fraction: float) -> bytes:
    """The prompts whose key is below this are held out: a pure function of the prompt, at a share of `fraction`.

    A larger fraction moves rows from train to validation and none back.
    """
    return min(int(fraction * 2**64), 2**64 - 1).to_bytes(8, "big")
