"""Columns that hold chat messages as JSON texts, which is how tables keep them whole (CSV, or Parquet without structs).

Says whether a text is one, and decodes a row; what the decoded row means, its own layout knows. A text that only
begins like JSON, or is JSON but no messages, stays the text that it is.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from steps.preprocess.rows import json_texts
from steps.preprocess.rows.messages import ROLES
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.reasons import InvalidRow, Reason

COLUMNS = (
    *("prompt", "instruction", "chosen", "rejected", "conversations"),
    *("messages", "chosen_response", "rejected_response", "rejected_messages"),
    *("input", "preferred_output", "non_preferred_output", "context", "conversation_a", "conversation_b"),
)
BLOCKS = re.compile(r"\[\s*{\s*\"text\"\s*:")  # Converse's system, which is a plain text elsewhere
QUOTE = "[\"']"  # single ones are Python's, of messages written without json.dumps: no JSON, and said so
BEGINS = re.compile(  # like messages: with a role that is known, or as a list whose first object has a content
    rf"(?:\[\s*)?{{\s*{QUOTE}(?:role|from){QUOTE}\s*:\s*{QUOTE}(?:{'|'.join(ROLES)}){QUOTE}"
    rf"|\[\s*{{\s*{QUOTE}(?:content|value){QUOTE}\s*:"
)


def may_be_json(value: Any) -> bool:
    """Whether a text begins like JSON; white space before it is rare, and looked for last."""
    if type(value) is not str:
        return False
    return value[:1] in ("[", "{") or (value[:1].isspace() and value.lstrip()[:1] in ("[", "{"))


def may_be(row: Row) -> bool:
    """Whether any column of a row may hold messages as JSON; decodes nothing."""
    return any(may_be_json(row.get(name)) for name in COLUMNS)


def is_sure(row: Row) -> bool:
    """Whether a column holds messages as JSON, or holds what was meant to be such."""
    return any(_is_meant(row[name]) for name in COLUMNS if name in row and may_be_json(row[name]))


def _is_meant(text: str) -> bool:
    try:
        return _are_messages(orjson.loads(text))
    except orjson.JSONDecodeError:
        return BEGINS.match(text.lstrip()) is not None


def _are_messages(value: Any) -> bool:
    if isinstance(value, list):
        return any(_is_message(entry) for entry in value)
    return _is_message(value) or (isinstance(value, dict) and _are_messages(value.get("messages")))


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    role = value.get("role", value.get("from"))
    return isinstance(role, str) and (role in ROLES or not value.keys().isdisjoint(("content", "value", "tool_calls")))


def decode(row: Row) -> Row:
    """The row with its messages decoded.

    Raises:
        InvalidRow: not_json where a text begins like messages and cannot be decoded; duplicate_keys.
    """
    decoded = dict(row)
    for name in COLUMNS:
        if may_be_json(row.get(name)):
            decoded[name] = _decode(row[name], name)
    if may_be_json(row.get("toolConfig")):
        decoded["toolConfig"] = _loads(row["toolConfig"], "toolConfig")
    if may_be_json(row.get("system")) and BLOCKS.match(row["system"].lstrip()):
        decoded["system"] = _loads(row["system"], "system")
    return decoded


def _decode(text: str, name: str) -> Any:
    if BEGINS.match(text.lstrip()):
        return _loads(text, name)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return json_texts.loads(text, name) if value == [] or _are_messages(value) else text


def _loads(text: str, name: str) -> Any:
    try:
        return json_texts.loads(text, name)
    except orjson.JSONDecodeError as error:
        hint = "; it is Python's, write it with json.dumps" if re.match(r"(?:\[\s*)?{\s*'", text.lstrip()) else ""
        raise InvalidRow(Reason.NOT_JSON, f"{name} is a text that is not JSON: {error}{hint}") from None
