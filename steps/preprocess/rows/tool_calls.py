"""Tool calls in one form (type, function with name and arguments as an object), and what is wrong with one.

Checks what a call names and leaves out against what the row declares; it does not check the arguments' values against
their types.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import orjson

from steps.preprocess.rows.json_texts import loads_exactly
from steps.preprocess.rows.json_values import kind, may_have_lost_digits
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.tools import Declared

ARGUMENTS = ("arguments", "args", "parameters", "input")  # of OpenAI, LangChain, Llama and Anthropic
UNFLOATING = frozenset((str, int, bool, type(None)))
TYPES = ("function", "tool_call", "tool_use", "function_call")
SHOWN = 10  # of names in a message
SILENT = frozenset(  # what services write beside a call, which says nothing to a model
    ("id", "type", "index", "call_id", "status", "cache_control", "caller", "provider_specific_fields",
     "extra_content", "thought_signature")
)  # fmt: skip


class CallFault(ValueError):
    """A tool call that is not a well-formed call."""


class UnreadField(CallFault):
    """A tool call with a field that nothing reads: what it calls for may be lost, which is no fault of the answer."""


def parse_calls(value: Any, where: str, side: Side) -> list[dict[str, Any]]:
    """Tool calls, given as one call, a list of them, or JSON text of either, in the one form.

    Raises:
        CallFault: a call without a name, or whose arguments are not a JSON object.
        UnreadField: a call with a field that nothing reads.
        InvalidRow: duplicate_keys, or number_too_large in a JSON text: what a call says would be lost.
    """
    if isinstance(value, str):
        try:
            value = loads_exactly(value, f"{where}: a call")
        except orjson.JSONDecodeError as error:
            raise CallFault(f"the call is not JSON: {error}") from None
    calls = value if isinstance(value, list) else [value]
    if not calls:
        raise CallFault("the list of calls is empty")
    return [_call(call, where, side) for call in calls]


def _call(value: Any, where: str, side: Side) -> dict[str, Any]:
    function = value["function"] if isinstance(value, dict) and value.get("function") is not None else value
    if not isinstance(function, dict):
        raise CallFault(f"the call is {kind(function)}; must be an object with name and arguments")
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise CallFault("the call has no name")
    arguments = _arguments(function, name, f"{where}: a call of {name}")
    if not UNFLOATING.issuperset(map(type, arguments.values())) and may_have_lost_digits(arguments):
        side.large.append(f"{where}: a call of {name}")
    place = f"{where}.tool_calls[]"
    identified = ("id",) if isinstance(value.get("id"), str) else ()
    if function is not value:
        _note_rest(value, ("function", *identified), name, place, side)
        _note_rest(function, ("name", *ARGUMENTS), name, f"{place}.function", side)
    elif len(function) != 2 or "arguments" not in function:
        _note_rest(function, ("name", *ARGUMENTS, *identified), name, place, side)
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"id": value["id"], **call} if identified else call


def _arguments(function: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    """The arguments of a call, by any of their names; those that are null or absent are none."""
    found = [_object(function[key], name, place) for key in ARGUMENTS if function.get(key) is not None]
    if len(found) > 1 and any(other != found[0] for other in found):
        given = " and ".join(key for key in ARGUMENTS if function.get(key) is not None)
        raise CallFault(f"{name} is called with {given}, which differ")
    return found[0] if found else {}


def _object(arguments: Any, name: str, place: str) -> dict[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = loads_exactly(arguments, place) if arguments.strip() else {}
        except orjson.JSONDecodeError as error:
            raise CallFault(f"the arguments of {name} are not JSON: {error}") from None
    if arguments is None:
        return {}
    if not isinstance(arguments, dict):
        raise CallFault(f"the arguments of {name} are {kind(arguments)}; must be an object")
    return arguments


def _note_rest(given: dict[str, Any], read: tuple[str, ...], name: str, place: str, side: Side) -> None:
    """Note what else a call says, of which only SILENT is known to be nothing for a model."""
    for key, value in given.items():
        if value is None or key in read or (key == "type" and value in TYPES):
            continue
        if key not in SILENT:
            raise UnreadField(f"the call of {name} has {key}, which nothing reads; a call has a name and arguments")
        side.note_unread(f"{place}.{key}", value)


def split_marked(text: str, opening: str, closing: str, where: str, side: Side) -> tuple[str, list[dict[str, Any]]]:
    """The text outside of marks such as `<TOOLCALL>[…]</TOOLCALL>`, and the calls inside them.

    Raises:
        CallFault: a mark is not closed, or what it holds is not a call.
    """
    if text.startswith(opening) and text.find(closing) == len(text) - len(closing):
        return "", parse_calls(text[len(opening) : -len(closing)], where, side)
    before, *blocks = text.split(opening)
    outside, calls = [before], []
    for block in blocks:
        inside, closed, after = block.partition(closing)
        if not closed:
            raise CallFault(f"{opening} is not closed by {closing}")
        calls += parse_calls(inside, where, side)
        outside.append(after)
    return "".join(outside).strip(), calls


def call_fault(call: dict[str, Any], declared: Declared) -> tuple[str, str] | None:
    """What is wrong with a well-formed call, given the declared tools: (`undeclared` or `arguments`, a sentence)."""
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    if name not in declared.required:
        names = _some(declared.required) or "none"
        return "undeclared", f"calls {name}, which the row's tools do not declare ({names})"
    missing = _some(key for key in declared.required[name] if key not in arguments)
    if missing:
        return "arguments", f"calls {name} without its required {missing}"
    return None


def _some(names: Iterable[Any]) -> str:
    """The first of some names: each of many calls may be told all of many."""
    named = [str(name) for name in islice(names, SHOWN + 1)]
    return ", ".join(named[:SHOWN]) + (", …" if len(named) > SHOWN else "")
