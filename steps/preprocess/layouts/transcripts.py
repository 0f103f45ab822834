"""The transcripts of hh-rlhf, texts of paragraphs that begin with `Human:` and `Assistant:`, into messages.

A marker counts at the start of a paragraph alone, so that one quoted inside a line stays text. White space around a
turn goes, because it belongs to the markers; a text before the first marker is the system's.
"""

from __future__ import annotations

import re

from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Pair, Row, split
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.records import Messages

MARKER = re.compile(r"\n\r?\n(Human|Assistant):")  # begins with what is plain text, which makes it fast
ASKS = re.compile(r"\n\r?\nHuman:")
OPEN = ("\n\nAssistant:", "\n\r\nAssistant:")  # how a prompt ends that waits for the answer
SPEAKERS = {"Human": "user", "Assistant": "assistant"}


def may_be(row: Row) -> bool:
    """Whether a row with the right types may hold transcripts: there is no prompt, or it is one itself."""
    prompt = row.get("prompt")
    return not prompt or _asks(prompt)


def is_sure(row: Row) -> bool:
    """Whether texts that might be anything are transcripts."""
    prompt = row.get("prompt")
    if prompt:
        return _paragraphs(prompt).rstrip().endswith(OPEN)
    return _asks(row["chosen"]) or _asks(row["rejected"])


def _paragraphs(text: str) -> str:
    """The text with an empty line before its first paragraph, as before all others."""
    return "\n\n" + text.lstrip()


def _asks(text: str) -> bool:
    return ASKS.search(_paragraphs(text)) is not None


def read(row: Row, notes: Notes) -> Pair:
    """The whole transcripts of a row without a prompt; or a transcript as the prompt, with the answers to it.

    Raises:
        InvalidRow: empty_response, wrong_type where a text is no transcript, or prompt_mismatch.
    """
    asked = row.get("prompt")
    if not asked:
        return split(_transcript(row["chosen"], "chosen"), _transcript(row["rejected"], "rejected"))
    prompt = _turns(*MARKER.split(_paragraphs(asked)), before="system")
    if prompt[-1:] == [{"role": "assistant", "content": ""}]:
        del prompt[-1]
    return Pair(prompt, _answer(row["chosen"], asked), _answer(row["rejected"], asked))


def _transcript(text: str, field: str) -> Messages:
    if not text or text.isspace():
        raise InvalidRow(Reason.EMPTY_RESPONSE, f"{field} is empty")
    before, *turns = MARKER.split(_paragraphs(text))
    if "Human" not in turns[::2]:
        raise InvalidRow(Reason.WRONG_TYPE, f"{field} is no transcript: no paragraph of it begins with 'Human:'")
    return _turns(before, *turns, before="system")


def _answer(text: str, asked: str) -> Messages:
    """The answer to a transcript, which may repeat the transcript first, or begin with the marker of its turn."""
    first, *turns = MARKER.split(_paragraphs(text.removeprefix(asked)))
    return _turns(first, *turns, before="assistant") or [{"role": "assistant", "content": ""}]


def _turns(first: str, *turns: str, before: str) -> Messages:
    """Messages from the text before the first marker, which is the turn of `before`, then speakers and their texts."""
    messages = [{"role": before, "content": first.strip()}] if first.strip() else []
    for speaker, text in zip(turns[::2], turns[1::2], strict=True):
        messages.append({"role": SPEAKERS[speaker], "content": text.strip()})
    return messages
