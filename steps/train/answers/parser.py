"""With which of vLLM's parsers the calls in a model's answers are read: the one with which the endpoint reads them."""

from __future__ import annotations

from dataclasses import dataclass

from steps.shared.calls.parsers import PARSERS
from steps.shared.serving import parser_for

AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class Parser:
    """
    Attributes:
        name: one of PARSERS; None: calls are not judged, and `reason` says why.
    """

    name: str | None
    reason: str | None = None


def choose(asked: str, model: str, template_text: str) -> Parser:
    """The parser to read with.

    Args:
        asked: the recipe's `tool_call_parser`.
        model: name of the base.
        template_text: its chat template's own text, which tells where the name does not.
    """
    if asked == NONE:
        return Parser(None, "tool_call_parser: none")
    name = parser_for(model, template_text) if asked == AUTO else asked
    if name is None:
        return Parser(None, f"no parser is known for {model}; name one by tool_call_parser")
    if name not in PARSERS:
        return Parser(None, f"tool_call_parser: {name} is not read here")
    return Parser(name)
