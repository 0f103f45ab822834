"""One tool in the form that chat templates expect, from the forms that services and data sets have.

Bare or wrapped in `function`, in which its parameters stand or beside it; these under OpenAI's, Anthropic's or MCP's
name, or as ToolBench's lists; with Python-style types (`dict`, `str`, `List[int]`). A tool whose parameters stand under
a name that nobody reads is refused: it would look like one without parameters.
"""

from __future__ import annotations

from typing import Any

import orjson

from steps.preprocess.rows.json_schema import TYPES, normal_schema
from steps.preprocess.rows.json_texts import loads
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.reasons import InvalidRow, Reason, quoted

PARAMETERS = ("parameters", "input_schema", "inputSchema")  # of OpenAI, Anthropic and MCP
TOOLBENCH = ("required_parameters", "optional_parameters")
UNREAD_SCHEMAS = (  # names that others give to a tool's parameters
    *("args", "arguments", "args_schema", "input", "inputs", "kwargs", "params", "parameter", "parameters_schema"),
    *("properties", "required", "schema", "json_schema"),
)
READ = frozenset(("name", "description", "type", *PARAMETERS, *TOOLBENCH))
BESIDE = READ - {"name", "description", "type", PARAMETERS[0]}  # rarer names of parameters
WRAPPED = frozenset(("type", "function"))
ORDINARY = (None, "function")  # types of tools
NOTHING: tuple[Any, ...] = (None, {}, [], "")
OF_RESULTS = ("output", "return", "respon", "result")  # how the name of a schema begins that is not of parameters


def normal_tool(tool: Any, where: str) -> dict[str, Any]:
    """`{"type": "function", "function": {name, description, parameters, …}}`; what else a function has stays in it.

    Raises:
        InvalidRow: tools_invalid; the message names the place, which begins with `where`.
    """
    function = _function(tool, where)
    if not isinstance(function, dict):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is {kind(function)}; must be a function with a name")
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} has no name")
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where}.description is {kind(description)}; must be text")
    rest = {} if READ.issuperset(function) else {key: function[key] for key in function if key not in READ}
    parameters = _all_parameters(function, where)
    if rest and isinstance(rest.get("required"), list) and "required" not in parameters:
        parameters["required"] = rest.pop("required")  # beside the schema instead of in it
    return {
        "type": "function",
        "function": {"name": name, "description": description or "", "parameters": parameters, **rest},
    }


def unread_of(tool: dict[str, Any]) -> dict[str, Any]:
    """What stands beside a tool's function, and what type it says to be where that is another: nothing reads these."""
    if tool.get("function") is None:
        return {} if tool.get("type") in ORDINARY else {"type": tool["type"]}
    read = ("function", "type", *PARAMETERS, *TOOLBENCH)
    unread = {key: entry for key, entry in tool.items() if key not in read and entry is not None}
    for given in (tool, tool["function"]):
        if given.get("type") not in ORDINARY:
            unread["type"] = given["type"]
    return unread


def _function(tool: Any, where: str) -> Any:
    """What has the name: the tool itself or its `function`, with the parameters that stand beside that."""
    if not isinstance(tool, dict) or tool.get("function") is None:
        return tool
    function = tool["function"]
    if WRAPPED.issuperset(tool) or not isinstance(function, dict):
        return function  # as most are
    others = {key: value for key, value in tool.items() if key not in ("function", "type", "name", "description")}
    given = {name: others[name] for name in (*PARAMETERS, *TOOLBENCH) if others.get(name) not in NOTHING}
    own = {name: function[name] for name in (*PARAMETERS, *TOOLBENCH) if function.get(name) not in NOTHING}
    if not given and not own:
        _refuse_unread_schema(others, where)
    if given and own and _all_parameters(given, where) != _all_parameters(own, f"{where}.function"):
        said = f"{where} has parameters inside function and beside it, which differ"
        raise InvalidRow(Reason.TOOLS_INVALID, said)
    return function if own else {**function, **given}


def _all_parameters(function: dict[str, Any], where: str) -> dict[str, Any]:
    """A function's parameters by whichever of their names it has; several must say the same."""
    if function.get(PARAMETERS[0]) and BESIDE.isdisjoint(function):
        return _parameters(function[PARAMETERS[0]], f"{where}.{PARAMETERS[0]}")  # as most have them
    given = {name: function[name] for name in PARAMETERS if function.get(name) not in NOTHING}
    found = [_parameters(_inner(value), f"{where}.{name}") for name, value in given.items()]
    lists = {name: function[name] for name in TOOLBENCH if function.get(name) not in NOTHING}
    if lists:
        found.append(_of_lists(lists, where))
    if not found:
        _refuse_unread_schema(function, where)
        return {"type": "object", "properties": {}}
    if any(other != found[0] for other in found[1:]):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} has {' and '.join((*given, *lists))}, which differ")
    return found[0]


def _inner(value: Any) -> Any:
    """A schema without the `json` around it, which Converse's inputSchema has."""
    return value["json"] if isinstance(value, dict) and set(value) == {"json"} else value


def _parameters(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = loads(value, where) if value.strip() else None
        except orjson.JSONDecodeError as error:
            raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is a text that is not JSON: {error}") from None
    if value in NOTHING:
        return {"type": "object", "properties": {}}
    if not isinstance(value, dict):
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where} is {kind(value)}; must be a JSON schema")
    bare = not isinstance(value.get("type"), (str, list)) and not isinstance(value.get("properties"), dict)
    if bare and all(isinstance(entry, dict) for entry in value.values()):
        value = {"type": "object", "properties": value}  # only the properties, without the schema around them
    parameters = {"type": "object", **normal_schema(value, (where,))}
    if parameters["type"] != "object":
        raise InvalidRow(Reason.TOOLS_INVALID, f"{where}.type is {quoted(parameters['type'])}; must be 'object'")
    return parameters


def _of_lists(lists: dict[str, Any], where: str) -> dict[str, Any]:
    """The schema that ToolBench's lists of required and optional parameters stand for."""
    properties: dict[str, Any] = {}
    required = []
    for key, entries in lists.items():
        if not isinstance(entries, list):
            raise InvalidRow(Reason.TOOLS_INVALID, f"{where}.{key} is {kind(entries)}; must be a list of parameters")
        for index, entry in enumerate(entries):
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or name in properties:
                raise InvalidRow(Reason.TOOLS_INVALID, f"{where}.{key}[{index}] has no name, or one that is taken")
            properties[name] = {what: said for what, said in entry.items() if what != "name"}
            if key == TOOLBENCH[0]:
                required.append(name)
    schema = normal_schema({"type": "object", "properties": properties, "required": required}, (where,))
    return dict(schema)


def _refuse_unread_schema(function: dict[str, Any], where: str) -> None:
    for key, value in function.items():
        if key.lower().startswith(OF_RESULTS) or value in NOTHING:
            continue
        if key in UNREAD_SCHEMAS or _like_schema(value):
            raise InvalidRow(
                Reason.TOOLS_INVALID, f"{where}.{key} looks like its parameters; they must be under {PARAMETERS[0]}"
            )


def _like_schema(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("properties"), dict) or (isinstance(value.get("type"), str) and value["type"] in TYPES)
