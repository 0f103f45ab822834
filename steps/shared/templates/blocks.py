"""Blocks of reasoning, as the templates of model families write them, and how a prompt may end in one."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What opens a block and what closes it.
BLOCKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)


@dataclass(frozen=True)
class Block:
    """A block at the end of a prompt.

    Attributes:
        at: the place in the prompt where it begins.
        opened, closed: its two marks.
        is_open: it is not closed, so that the answer goes on in it.
    """

    at: int
    opened: str
    closed: str
    is_open: bool

    def without_opening(self, text: str) -> str:
        """The text without a mark at its beginning that the prompt has opened the block with already."""
        return re.sub(rf"^\s*{re.escape(self.opened)}\s*", "", text)

    def without_empty(self, text: str) -> str:
        """The text without an empty block at its beginning."""
        return re.sub(rf"^\s*{re.escape(self.opened)}\s*{re.escape(self.closed)}\s*", "", text)

    def filled(self, reasoning: str) -> str:
        """What a model writes that reasons in the open block and then closes it."""
        return f"{reasoning.strip()}\n{self.closed}\n\n"


def block_at_end(prompt: str) -> Block | None:
    """The block that a prompt ends with, open or empty; None where it ends otherwise."""
    for opened, closed in BLOCKS:
        at = prompt.rfind(opened)
        if at < 0:
            continue
        inside = prompt[at + len(opened) :].strip()
        if inside in ("", closed):
            return Block(at, opened, closed, not inside)
    return None
