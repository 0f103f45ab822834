"""What makes two prompts the same one, and which prompts are held out: functions of the prompt alone."""

from __future__ import annotations

import hashlib
import unicodedata

from steps.shared.records import Messages, canonical, content

LOWER_CASE = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
ASCII_SPACE = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"  # what str.split() takes for white space, in ASCII


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
        folded = text.encode().translate(LOWER_CASE, ASCII_SPACE)
    else:
        folded = "".join(unicodedata.normalize("NFKC", text).casefold().split()).encode()
    return hashlib.sha256(folded).digest()[:16]


def validation_limit(fraction: float) -> bytes:
    """The prompts whose key is below this are held out: a pure function of the prompt, at a share of `fraction`.

    A larger fraction moves rows from train to validation and none back.
    """
    return min(int(fraction * 2**64), 2**64 - 1).to_bytes(8, "big")
