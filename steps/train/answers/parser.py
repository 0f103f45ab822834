"""With which of vLLM's parsers the calls in a model's answers are read: the one with which the endpoint reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steps.shared.calls.compare import compare
from steps.shared.calls.kinds import expected_calls
from steps.shared.calls.parsers import PARSERS, parse
from steps.shared.serving import parser_for
from steps.train.answers.said import Question

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


def checked(parser: Parser, questions: Sequence[Question]) -> Parser:
    """The parser, where it reads in most of the chosen answers the calls that their rows have, as the template writes
    them. Another family's finds none in any answer: then no model calls worse than another one, and nothing is judged.
    """
    if parser.name is None:
        return parser
    calling = [(one, calls) for one in questions if one.record.tools and (calls := expected_calls(one.record))]
    unread = sum(
        not compare(calls, parse(parser.name, one.chosen, one.record.tools).calls, one.record.tools).right
        for one, calls in calling
    )
    if 2 * unread <= len(calling):
        return parser
    return Parser(
        None,
        f"the parser {parser.name} does not read the calls of {unread} of {len(calling)} chosen answers as the "
        "template writes them; name the model's own by tool_call_parser",
    )
