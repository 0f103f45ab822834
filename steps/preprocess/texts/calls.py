"""Calls that an answer writes as text, in the ways that models do: Hermes, xlam, Llama, Mistral and ReAct."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import orjson

from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.tool_calls import ARGUMENTS, CallFault, parse_calls, split_marked

MARKS = (("<tool_call>", "</tool_call>"), ("<TOOLCALL>", "</TOOLCALL>"), ("<|tool_call|>", "<|/tool_call|>"))
HEADS = ("[TOOL_CALLS]", "<|python_tag|>", "<functioncall>", "functools")  # what stands before calls to the text's end
BEGINNINGS = ("[", "{", "<", " ", "\n", "functools")  # of texts that are calls as a whole
REACT = re.compile(r"(?:\A|\n)[ \t]*+Action[ \t]*+:[ \t]*+([^\n]++)\n[ \t]*+Action Input[ \t]*+:")
Found = tuple[str, list[dict[str, Any]]]  # the text outside of the calls, and these


def may_hold_calls(text: str) -> bool:
    """Whether a text may write calls; a quick test."""
    return text.startswith(BEGINNINGS) or "Action Input" in text or ("<" in text and holds_mark(text))


def holds_mark(text: str) -> bool:
    return any(opening in text for opening, _ in MARKS)


def writes_calls(text: str) -> bool:
    """Whether a text has the shape of calls, well-formed or not."""
    if holds_mark(text) or text.lstrip().startswith(HEADS):
        return True
    return REACT.search(text) is not None or _whole(text) is not None


def is_other_json(text: str, declared: Collection[str]) -> bool:
    """Whether a text that has the shape of calls is JSON of something else, such as a schema: what it names is no
    declared tool, and has no `arguments`, but what else has too (`parameters`, `input`)."""
    whole = _whole(text)
    functions = [call.get("function", call) for call in (whole if isinstance(whole, list) else [whole or {}])]
    return whole is not None and all(
        "arguments" not in function and function["name"] not in declared for function in functions
    )


def read_calls(text: str, where: str, side: Side) -> Found | None:
    """The calls that a text writes, and the text outside of them; None where there is none that can be parsed."""
    try:
        for opening, closing in MARKS:
            if opening in text:
                return split_marked(text, opening, closing, where, side)
        bare = text.strip()
        head = next((head for head in HEADS if bare.startswith(head)), None)
        if head:
            return "", parse_calls(bare.removeprefix(head).strip(), where, side)
        if _whole(text) is not None:
            return "", parse_calls(bare, where, side)
        match = REACT.search(text)
        if match:
            given = text[match.end() :].strip().removesuffix("Observation:").strip()
            call = {"name": match[1].strip(), "arguments": given}
            return text[: match.start()].strip(), parse_calls(call, where, side)
    except CallFault:
        return None
    return None


def _whole(text: str) -> Any:
    """What a text is as JSON, where it is a call and no more, or a list of them; None for another text."""
    bare = text.strip()
    if bare[:1] not in ("[", "{"):
        return None
    try:
        value = orjson.loads(bare)
    except orjson.JSONDecodeError:
        return None
    calls = value if isinstance(value, list) else [value]
    return value if calls and all(map(_is_call, calls)) else None


def _is_call(value: Any) -> bool:
    """Whether an object has a name and arguments, as a call does and little else."""
    function = value.get("function", value) if isinstance(value, dict) else None
    return isinstance(function, dict) and "name" in function and not function.keys().isdisjoint(ARGUMENTS)
