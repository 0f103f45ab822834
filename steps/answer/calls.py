"""The tool calls of an answer, each with what is wrong with it: an undeclared tool, arguments beside its schema.

A call is looked for where no tools are declared too: a model may call what nobody offered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from steps.shared.calls.call import Call
from steps.shared.calls.declared import parameters, properties
from steps.shared.calls.parsers import parse
from steps.shared.calls.schemas import NoSchema, fits
from steps.shared.pages import visible
from steps.shared.records import Tools

SHOWN = 8  # names of tools in a mark


@dataclass(frozen=True)
class Marked:
    """
    Attributes:
        marks: what is wrong with the call, each a sentence without its full stop; none where nothing is.
    """

    name: str
    arguments: Any
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Calls:
    """
    Attributes:
        broken: why a call that begins in the answer could not be read, in which case there are none.
    """

    calls: tuple[Marked, ...]
    broken: str | None


def calls_of(text: str, tools: Tools, parser: str | None) -> Calls:
    """The calls of an answer in the order in which they were written; none where no parser is known.

    Args:
        text: with the special tokens that stand in it.
    """
    found = parse(parser, text, tools) if parser else None
    if found is None:
        return Calls((), None)
    declared = parameters(tools)
    return Calls(tuple(Marked(call.name, call.arguments, _marks(call, declared)) for call in found.calls), found.broken)


def lines(calls: Calls) -> list[str]:
    """The calls for a person: a line each, and below it one for each mark."""
    if calls.broken:
        return [f"! a call that cannot be read: {calls.broken}"]
    found = []
    for call in calls.calls:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        found += [
            f"call: {visible.name(call.name)} {visible.visible(arguments)}",
            *(f"! {mark}" for mark in call.marks),
        ]
    return found


def _marks(call: Call, declared: dict[str, Any]) -> tuple[str, ...]:
    name = visible.name(call.name)
    if call.name not in declared:
        known = ", ".join(map(visible.name, list(declared)[:SHOWN])) + (", …" if len(declared) > SHOWN else "")
        return (f"{name} is not declared: " + (f"the tools are {known}" if known else "there are no tools"),)
    schema = declared[call.name]
    try:
        if fits(call.arguments, schema):
            return ()
        return (f"the arguments of {name} do not fit its schema{_why(call.arguments, schema)}",)
    except NoSchema as error:
        return (f"the arguments of {name} cannot be judged: its schema is none ({error})",)


def _why(arguments: Any, schema: Any) -> str:
    """Which required arguments are missing, and which values do not fit by themselves; empty where neither tells."""
    if not isinstance(arguments, dict):
        return ": they are no object"
    required = schema.get("required")
    missing = [name for name in required if name not in arguments] if isinstance(required, list) else []
    alone = {key: value for key, value in schema.items() if key != "required"}
    wrong = [name for name, value in arguments.items() if not fits({name: value}, alone)]
    unknown = [name for name in wrong if name not in properties(schema)]
    parts = {
        "lacks": missing,
        "does not know": unknown,
        "does not allow the value of": [name for name in wrong if name not in unknown],
    }
    said = [f"{what} {', '.join(map(visible.name, names[:SHOWN]))}" for what, names in parts.items() if names]
    return f": {'; '.join(said)}" if said else ""
