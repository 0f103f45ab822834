"""Tools and tool calls in one form: `{"type": "function", "function": {…}}`, JSON-schema types, arguments as objects.

Accepts tools as objects or JSON text, bare or wrapped, with Python-style types (`dict`, `str`, `List[int]`). Checks
what a call names and leaves out against what is declared; it does not check the arguments' values against their
types.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.records import tool_digest, tools_digest

# The types of Python and of other languages that function-calling data sets write where JSON schema has its own.
TYPES = {
    **dict.fromkeys(("object", "dict", "mapping", "hashmap", "map"), "object"),
    **dict.fromkeys(("string", "str", "text", "char"), "string"),
    **dict.fromkeys(("integer", "int", "long", "short", "byte"), "integer"),
    **dict.fromkeys(("number", "float", "double", "decimal"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list", "tuple", "set", "sequence", "arraylist"), "array"),
    **dict.fromkeys(("null", "none", "nonetype"), "null"),
}
GENERIC = re.compile(r"(\w+)\s*(?:\[(.*)\])?(?:\s*,\s*optional)?")  # str, List[int], Optional[str], "int, optional"
SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions")
SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SCHEMA_NESTED = ("items", "additionalProperties", "not")
WALKED = frozenset((*SCHEMA_MAPS, *SCHEMA_LISTS, *SCHEMA_NESTED, "required"))
TOOLCALL = re.compile(r"<TOOLCALL>(.*?)</TOOLCALL>", re.DOTALL)


TOOLS_KEPT = 512
DECLARATIONS_KEPT = 64  # rows share their tools with those near them; to keep more made no difference on real data


Place = tuple[str, ...]  # where in a row something stands; written out only for a message


class CallFault(ValueError):
    """A tool call that is not a well-formed call."""


class Declared(NamedTuple):
    """The tools that a row declares: their JSON in the one form, what identifies them, each one's required arguments
    by its name."""

    text: bytes | None
    digest: bytes
    required: dict[str, list[Any]]


def declare(value: Any) -> Declared:
    """The tools of a row, normalised once for all rows that declare the same.

    Raises:
        InvalidRow: something in there is not a function with a JSON-schema description of its parameters.
    """
    if not value:
        return _declare(None)
    if type(value) is list and set(map(type, value)) == {str}:
        texts, declared = _last[0]
        if texts != value:
            declared = _declare(tuple(value))
            _last[0] = value, declared
        return declared
    return _declare(value if isinstance(value, str) else orjson.dumps(value))


# The texts of the row before and what they declare: mostly this row's too, which to see takes less than their hash.
_last: list[tuple[list[str], Declared]] = [([], Declared(None, b"", {}))]


@lru_cache(DECLARATIONS_KEPT)
def _declare(given: str | bytes | tuple[str, ...] | None) -> Declared:
    """`given` is text as the row has it, several such texts, or the JSON of what is no text."""
    tools = _listed(orjson.loads(given) if isinstance(given, bytes) else given)
    if tools is None:
        return Declared(None, tools_digest(()), {})
    declared = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    return Declared(
        b"[" + b",".join(tool.text for tool in declared) + b"]",
        tools_digest(tool.digest for tool in declared),
        {tool.name: tool.required for tool in declared},
    )


def _listed(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """The tools, one by one and as the row has them; None where it declares none."""
    if isinstance(value, str):
        value = _loads(value, "tools") if value.strip() else None
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple | None):
        raise InvalidRow(Reason.TOOLS_INVALID, f"tools is {kind(value)}; must be a list of functions")
    return value or None


def _loads(text: str, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is a text that is not JSON: {error}") from None


class _Tool(NamedTuple):
    name: str
    text: bytes
    digest: bytes
    required: list[Any]


def _tool(tool: Any, where: str) -> _Tool:
    if not isinstance(tool, str):
        return _normalised(tool, where)
    try:
        return _tool_of_text(tool)
    except InvalidRow:  # once more, to say where
        return _normalised(_loads(tool, where), where)


@lru_cache(TOOLS_KEPT)
def _tool_of_text(text: str) -> _Tool:
    return _normalised(_loads(text, "a tool"), "a tool")


def _normalised(tool: Any, where: str) -> _Tool:
    value = _normal_tool(tool, where)
    text = orjson.dumps(value)
    if b"\\u0000" in text:
        refuse_nul(value)
    function = value["function"]
    return _Tool(function["name"], text, tool_digest(text), function["parameters"].get("required", []))


def _normal_tool(tool: Any, where: str) -> dict[str, Any]:
    function = tool.get("function", tool) if isinstance(tool, dict) else tool
    if not isinstance(function, dict):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is {kind(function)}; must be a function with a name")
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} has no name")
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where}.description is {kind(description)}; must be text")
    rest = {key: function[key] for key in function if key not in ("name", "description", "parameters", "type")}
    parameters = _parameters(function.get("parameters"), f"{where}.parameters")
    return {
        "type": "function",
        "function": {"name": name, "description": description or "", "parameters": parameters, **rest},
    }


def _parameters(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = _loads(value, where)
    if not value:
        return {"type": "object", "properties": {}}
    if not isinstance(value, dict):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is {kind(value)}; must be a JSON schema")
    bare = not isinstance(value.get("type"), str | list) and not isinstance(value.get("properties"), dict)
    if bare and all(isinstance(entry, dict) for entry in value.values()):
        value = {"type": "object", "properties": value}  # only the properties, without the schema around them
    parameters = {"type": "object", **_schema(value, (where,))}
    if parameters["type"] != "object":
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where}.type is {parameters['type']!r}; must be 'object'")
    return parameters


def _schema(value: Any, where: Place) -> Any:
    """A schema with JSON-schema types. Walks by keyword, so that a property that is called `type` stays a property."""
    simple = _simple(value)
    if simple is not None:
        return simple
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, dict):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{_said(where)} is {kind(value)}; must be a JSON schema")
    result: dict[str, Any] = {}
    for key, entry in value.items():
        if key == "type":
            if type(entry) is str and entry in TYPES:
                result["type"] = TYPES[entry]
                continue
            for name, keyword in _typed(entry, where).items():  # may bring `items` with it
                result.setdefault(name, keyword)
        elif key not in WALKED:
            result[key] = entry
        elif key in SCHEMA_MAPS and isinstance(entry, dict):
            result[key] = {name: _simple(inner) or _schema(inner, (*where, key, name)) for name, inner in entry.items()}
        elif (key in SCHEMA_LISTS or key == "items") and isinstance(entry, list):
            result[key] = [_schema(inner, (*where, f"{key}[{index}]")) for index, inner in enumerate(entry)]
        elif key in SCHEMA_NESTED:
            result[key] = _schema(entry, (*where, key))
        elif key == "required" and not isinstance(entry, list):
            raise InvalidRow(Reason.TOOLS_INVALID, f"{_said(where)}.required is {kind(entry)}; must be a list of names")
        else:
            result[key] = entry
    return result


def _simple(value: Any) -> dict[str, Any] | None:
    """A schema that is one type and what is said about it, as most are; None where it is more."""
    if type(value) is dict and type(given := value.get("type")) is str:
        known = TYPES.get(given)
        if known and WALKED.isdisjoint(value):
            return value if known == given else {**value, "type": known}
    return None


def _said(where: Place) -> str:
    return ".".join(where)


def _typed(value: Any, where: Place) -> dict[str, Any]:
    """The schema that a `type` stands for: one keyword, with `items` beside it for `List[int]`, none for `any`."""
    if isinstance(value, list):
        names = [_typed(entry, where).get("type") for entry in value]
        return {"type": names} if None not in names else {}
    match = GENERIC.fullmatch(value.strip()) if isinstance(value, str) else None
    base, inner = (match[1].lower(), match[2]) if match else (None, None)
    if base == "any":
        return {}
    if base == "optional" and inner:
        return _typed(inner, where)
    if base not in TYPES:
        raise InvalidRow(Reason.TOOLS_INVALID, f"{_said(where)}.type: {value!r} is not a JSON schema type")
    if TYPES[base] == "array" and inner and "," not in inner:
        return {"type": "array", "items": _typed(inner, where)}
    return {"type": TYPES[base]}


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


def kind(value: Any) -> str:
    """What a JSON value is, in words, for a message."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names[type(value)]


def refuse_nul(value: Any) -> None:
    """Raises InvalidRow where a text in the value holds a NUL character, which JSON writes as `\\u0000`."""
    pending = [value]
    while pending:
        entry = pending.pop()
        if isinstance(entry, str) and "\0" in entry:
            raise InvalidRow(Reason.NUL_BYTE, "a text holds a NUL character (\\u0000)")
        if isinstance(entry, dict):
            pending += [*entry, *entry.values()]
        elif isinstance(entry, list | tuple):
            pending += entry
