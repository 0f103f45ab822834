"""Families whose calls are tags around the name and around each argument, and so say nothing of an argument's type.

A value becomes what the declared schema makes of it, as in vLLM: the first of null, integer, number, boolean, object
and array that the schema allows and the value can be read as, and otherwise the text itself. As in json_forms.py, each
reader gives the calls of an answer and the text beside them, or raises Unreadable.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any

from steps.shared.calls.call import Call, Unreadable, checked, named, read_json
from steps.shared.calls.declared import parameters, properties, types
from steps.shared.calls.json_forms import HERMES, Read, between
from steps.shared.records import Tools

QWEN = HERMES
SEED = "<seed:tool_call>", "</seed:tool_call>"
FUNCTION = "<function=", "</function>"
PARAMETER = "<parameter=", "</parameter>"
GLM_NAME = re.compile(r"\s*+([^\s<]++)\s*+")
GLM_KEY = "<arg_key>", "</arg_key>"
GLM_VALUE = "<arg_value>", "</arg_value>"
NOTHING = ("null", "none")  # templates of Qwen3.5 write null as Python does


def qwen3(text: str, tools: Tools) -> Read:
    """`<tool_call><function=name><parameter=key>value</parameter></function></tool_call>`, with line breaks around a
    value that are no part of it. Without the outer tags a function counts too.

    https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct/blob/main/qwen3coder_tool_parser.py
    """
    return _functions(text, QWEN, tools)


def seed_oss(text: str, tools: Tools) -> Read:
    """As Qwen3's, in `<seed:tool_call>`.

    https://huggingface.co/ByteDance-Seed/Seed-OSS-36B-Instruct
    """
    return _functions(text, SEED, tools)


def _functions(text: str, outer: tuple[str, str], tools: Tools) -> Read:
    opening = outer[0]
    content, begun, _ = text.partition(opening)
    if not begun:
        content, begun, _ = text.partition(FUNCTION[0])
        if not begun:
            return [], text
    blocks = list(between(text, *outer)) or [text]
    schemas = parameters(tools)
    calls = [_function(inside, schemas) for block in blocks for inside in between(block, *FUNCTION)]
    if not calls:
        raise Unreadable(f"no {FUNCTION[0]} follows {opening}")
    return calls, content


def _function(text: str, schemas: Mapping[str, Any]) -> Call:
    name, closed, body = text.partition(">")
    if not closed:
        raise Unreadable("the call has no name")
    described = properties(schemas.get(name.strip()))
    arguments = {}
    for part in body.split(PARAMETER[0])[1:]:
        key, closed, value = part.partition(">")
        if not closed:
            raise Unreadable("an argument has no name")
        value = value.partition(PARAMETER[1])[0].removeprefix("\n").removesuffix("\n")
        arguments[key.strip()] = typed(value, described.get(key.strip()))
    return named(name, arguments)


def glm45(text: str, tools: Tools) -> Read:
    """`<tool_call>name`, then `<arg_key>key</arg_key><arg_value>value</arg_value>` for each, and `</tool_call>`.

    Of a value that the schema does not call a string, JSON is read, then a Python literal.
    https://huggingface.co/zai-org/GLM-4.5/blob/main/chat_template.jinja
    """
    opening, closing = HERMES
    content, begun, _ = text.partition(opening)
    if not begun:
        return [], text
    schemas = parameters(tools)
    return [_glm(inside, schemas) for inside in between(text, opening, closing)], content


def _glm(text: str, schemas: Mapping[str, Any]) -> Call:
    name = GLM_NAME.match(text)
    if not name:
        raise Unreadable("the call has no name")
    described = properties(schemas.get(name[1]))
    arguments = {}
    for part in text[name.end() :].split(GLM_KEY[0])[1:]:
        key, closed, rest = part.partition(GLM_KEY[1])
        _, begun, value = rest.partition(GLM_VALUE[0])
        value, ended, _ = value.partition(GLM_VALUE[1])
        if not (closed and begun and ended):
            raise Unreadable("an argument is not closed")
        key = key.strip()
        arguments[key] = value if types(described.get(key)) == {"string"} else _literal(value.strip(), value)
    return named(name[1], arguments)


def typed(value: str, schema: Any) -> Any:
    """What an argument's text says by its schema; the text itself where that allows a string, or does not say."""
    allowed = types(schema)
    if value.strip().lower() in NOTHING and ("null" in allowed or (allowed and "string" not in allowed)):
        return None
    readers = {"integer": _integer, "number": _number, "boolean": _boolean, "object": _literal, "array": _literal}
    for kind, read in readers.items():
        found = read(value.strip(), value) if kind in allowed else value
        if found is not value:
            return found
    return value


def _integer(text: str, otherwise: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return otherwise


def _number(text: str, otherwise: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return otherwise
    if not math.isfinite(number):
        return otherwise
    return int(number) if number == int(number) else number


def _boolean(text: str, otherwise: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), otherwise)


def _literal(text: str, otherwise: str) -> Any:
    """JSON, or a Python literal that JSON could say; `otherwise` where it is neither."""
    try:
        return read_json(text)
    except Unreadable:
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a backslash in a string that escapes nothing
            warnings.simplefilter("ignore", DeprecationWarning)
            return checked(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, Unreadable):
        return otherwise
