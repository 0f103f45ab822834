"""gpt-oss writes messages on channels; one that is addressed to a function is a call.

    <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json
    <|message|>{…}<|call|>

A function may also be named before the channel. Sources: https://github.com/openai/harmony/blob/main/docs/format.md and
vLLM's parser `openai`, which works on token ids: a mark that was written out as text is one here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from steps.shared.calls.call import Unreadable, named, read_json
from steps.shared.calls.json_forms import Read
from steps.shared.records import Tools

MARKS = re.compile(r"<\|(start|channel|message|constrain|end|call|return)\|>")
ADDRESSED = re.compile(r"(?:^|\s)to=functions\.(\S+)")
SHOWN = ("final", "commentary")  # channels that a person reads; analysis is reasoning


def openai(text: str, tools: Tools) -> Read:
    if not MARKS.search(text):
        return [], text
    calls, shown = [], []
    for channel, head, body in _messages(text):
        addressed = ADDRESSED.search(head)
        if addressed and body is None:
            raise Unreadable("the call has no arguments")
        if addressed:
            calls.append(named(addressed[1], read_json(body or "")))
        elif channel in SHOWN and body:
            shown.append(body)
    return calls, "\n".join(shown)


def _messages(text: str) -> Iterator[tuple[str, str, str | None]]:
    """Of each message its channel, its head (role, addressee, channel, type), and what it says; None where it stops
    before that."""
    head: list[str] = []
    channel: str = "final"  # text before any mark goes on in the message that the prompt has begun
    body: str | None = None
    before, *rest = MARKS.split(text)
    for mark, said in [("", before), *zip(rest[::2], rest[1::2], strict=True)]:
        if mark in ("start", "end", "call", "return"):
            if body is not None or ADDRESSED.search(" ".join(head)):
                yield channel, " ".join(head), body
            head, channel, body = [said] if mark == "start" else [], "final", None
        elif mark == "message":
            body = said
        elif body is None:
            head.append(said)
            channel = (said.split() or [""])[0] if mark == "channel" else channel
    if body is not None or ADDRESSED.search(" ".join(head)):
        yield channel, " ".join(head), body
