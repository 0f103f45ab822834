"""Why a row is not trained on: a reason that is counted, and what it means for this row."""

from __future__ import annotations

# Reasons of `RowRefused`, with what each means for a person who reads it the first time.
MEANINGS = {
    "template_mismatch": "the template does not write the answer after the prompt",
    "template_refused": "the template raised an error, which is quoted",
    "template_opens_reasoning": "the prompt opens a reasoning block and the answer has none",
    "template_drops_tools": "the template does not write the tools that the row declares",
    "template_drops_call": "the template leaves out a call, its name or its arguments",
    "template_drops_content": "the template leaves out what a message says",
    "template_drops_result": "the template leaves out what a tool returned",
    "template_drops_system": "the template leaves out the system's turn",
    "same_render": "the template writes both answers alike, so that nothing can be learned from them",
}


class RowRefused(Exception):
    """A row cannot be trained on with this chat template.

    Attributes:
        reason: one of MEANINGS.
        detail: what it is about, for a person; None where the reason says it all.
    """

    def __init__(self, reason: str, detail: str | None = None):
        super().__init__(detail or MEANINGS[reason])
        self.reason, self.detail = reason, detail
