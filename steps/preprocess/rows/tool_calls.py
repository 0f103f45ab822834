"""Tool calls in one form (type, function with name and arguments as an object), and what is wrong with one.

Checks what a call names and leaves out against what the row declares; it does not check the arguments' values against
their types.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.tools import Declared

TOOLCALL = re.compile(r"<TOOLCALL>(.*?)</TOOLCALL>", re.DOTALL)


class CallFault(ValueError):
    """A tool call that is not a well-formed call."""


def parse_calls(value: Any) -> list[dict[str, Any]]:
    """Tool calls, given as one call, a list of them, or JSON text of either, in the one form.

    Raises:
        CallFault: a call without a name, or whose arguments are not a JSON object.
    """
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise CallFault(f"the call is not JSON: {error}") from None
    calls = value if isinstance(value, list) else [value]
    if not calls:
        raise CallFault("the list of calls is empty")
    return [_call(call) for call in calls]


def _call(value: Any) -> dict[str, Any]:
    function = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(function, dict):
        raise CallFault(f"the call is {kind(function)}; must be an object with name and arguments")
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name.strip():
        raise CallFault("the call has no name")
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments) if arguments.strip() else {}
        except orjson.JSONDecodeError as error:
            raise CallFault(f"the arguments of {name} are not JSON: {error}") from None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise CallFault(f"the arguments of {name} are {kind(arguments)}; must be an object")
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"id": value["id"], **call} if isinstance(value.get("id"), str) else call


def split_toolcall_text(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The text outside `<TOOLCALL>[…]</TOOLCALL>` marks, and the calls inside them.

    Raises:
        CallFault: a mark is not closed, or what it holds is not a call.
    """
    if "<TOOLCALL>" not in text:
        return text, []
    if text.startswith("<TOOLCALL>") and text.find("</TOOLCALL>") == len(text) - len("</TOOLCALL>"):
        return "", parse_calls(text[len("<TOOLCALL>") : -len("</TOOLCALL>")])
    calls = [call for block in TOOLCALL.findall(text) for call in parse_calls(block)]
    outside = TOOLCALL.sub("", text)
    if "<TOOLCALL>" in outside:
        raise CallFault("<TOOLCALL> is not closed by </TOOLCALL>")
    return outside.strip(), calls


def call_fault(call: dict[str, Any], declared: Declared) -> tuple[str, str] | None:
    """What is wrong with a well-formed call, given the declared tools: (`undeclared` or `arguments`, a sentence)."""
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    if name not in declared.required:
        names = ", ".join(declared.required) or "none"
        return "undeclared", f"calls {name}, which the row's tools do not declare ({names})"
    missing = [key for key in declared.required[name] if key not in arguments]
    if missing:
        return "arguments", f"calls {name} without its required {', '.join(map(str, missing))}"
    return None
