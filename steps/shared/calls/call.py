"""A tool call, what was read of an answer, and the JSON that calls are made of. Imports the standard library only.

What is read is kept within what JSON can say: whatever a model writes, what stands in a `Call` can be written as JSON
in UTF-8 again, is nested at most DEEPEST deep, and can so be walked without care.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any, NoReturn

DEEPEST = 64  # objects and arrays inside each other, in arguments; the decoder gives up only at Python's own limit


class Unreadable(Exception):
    """A call begins in the text and cannot be read; `str(error)` says why, without quoting the answer."""


@dataclass(frozen=True)
class Call:
    """
    Attributes:
        arguments: as JSON has them; an object wherever the call is well-formed.
    """

    name: str
    arguments: Any


@dataclass(frozen=True)
class Parsed:
    """What was read of an answer.

    Attributes:
        calls: in the order in which they were written; none where one of them could not be read, since vLLM then gives
            out the whole answer as text.
        content: the text beside them, without reasoning and outer whitespace.
        broken: why a call that begins could not be read; None where all could, and where there is none.
    """

    calls: tuple[Call, ...]
    content: str
    broken: str | None = None


def read_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        Unreadable: it is none.
    """
    value, end = read_json_at(text, len(text) - len(text.lstrip()))
    if text[end:].strip():
        raise Unreadable("text follows the call's JSON")
    return value


def read_json_at(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place of a text, and the place after it.

    Raises:
        Unreadable: there begins none.
    """
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the call is not JSON ({_reason(error)})") from None
    return checked(value), end


def checked(value: Any) -> Any:
    """The value itself, where JSON has such values.

    Raises:
        Unreadable: nested too deep, or something that JSON cannot say: an infinite number, half a surrogate, bytes.
    """
    if _depth(value) > DEEPEST:
        raise Unreadable(f"its arguments are nested more than {DEEPEST} deep")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        raise Unreadable("its arguments hold what JSON cannot say") from None
    return value


def call_of(value: Any, *arguments: str) -> Call:
    """A call from an object with its name and its arguments, by the first of these keys that it has.

    Raises:
        Unreadable: it is no such object.
    """
    if not isinstance(value, Mapping):
        raise Unreadable("the call is no object")
    key = next((key for key in arguments if key in value), None)
    if key is None:
        raise Unreadable(f"the call has no {' or '.join(arguments)}")
    return named(value.get("name"), value[key])


def named(name: Any, arguments: Any) -> Call:
    """
    Raises:
        Unreadable: the call has no name.
    """
    if not isinstance(name, str) or not name.strip():
        raise Unreadable("the call has no name")
    return Call(name.strip(), arguments)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = JSONDecoder(parse_constant=_refuse)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deep" if isinstance(error, RecursionError) else "a number is no JSON"


def _depth(value: Any) -> int:
    """How many objects and arrays are inside each other; stops counting one beyond DEEPEST."""
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        inside = [entry for entry in level if isinstance(entry, (dict, list))]
        level = [inner for entry in inside for inner in (entry.values() if isinstance(entry, dict) else entry)]
        depth += bool(inside)
    return depth
