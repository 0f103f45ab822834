"""Preference records in the style of Amazon Bedrock's Converse API, which SageMaker's Nova recipes take.

`messages` hold content blocks (text, toolUse, toolResult, reasoningContent), `toolConfig` declares the tools, and the
last turn has `candidates`, one of them preferred. Texts alone can be trained on here: a row with an image, a video or
a document is refused. A cachePoint says nothing to the model, and the status of a tool's result is in no chat template:
these are noted as unread, and so is whatever else a turn, a block or toolConfig has.
"""

from __future__ import annotations

from typing import Any

import orjson

from steps.preprocess.rows.json_values import kind, may_have_lost_digits
from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Notes, Side
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason, key_names
from steps.shared.records import Messages

LABEL = "preferenceLabel"
LABELS = ("preferred", "non-preferred")
SILENT = ("cachePoint",)
Block = tuple[str, Any, str]  # what kind of block it is, what it holds, and where it stands


def is_sure(row: Row) -> bool:
    """Whether a row that has `messages` is one of these."""
    last = row["messages"][-1] if row["messages"] else None
    return "schemaVersion" in row or "toolConfig" in row or (isinstance(last, dict) and "candidates" in last)


def read(row: Row, notes: Notes) -> Pair:
    """The turns before the last as the prompt, and the two candidates of the last one as the answers.

    A record is one pair: with several non-preferred candidates the row is refused, so that none gets lost.

    Raises:
        InvalidRow: naming the turn, candidate or block that is wrong.
    """
    if not row["messages"]:
        raise InvalidRow(Reason.EMPTY_PROMPT, "messages is an empty list")
    _note_config(row, notes.chosen)
    *earlier, last = row["messages"]
    prompt: Messages = []
    for index, turn in enumerate(earlier):
        where = f"messages[{index}]"
        if isinstance(turn, dict) and turn.get("candidates"):
            raise InvalidRow(Reason.TURN_ORDER, f"{where} has candidates; only the last turn may")
        prompt += _turn(turn, where, notes.chosen)
    preferred, other = _candidates(last, f"messages[{len(earlier)}]", notes.chosen)
    better, worse = _turn(*preferred, notes.chosen, LABEL), _turn(*other, notes.rejected, LABEL)
    return Pair(prompt, better, worse)


def _candidates(turn: Any, where: str, side: Side) -> list[tuple[Row, str]]:
    """The preferred candidate and the other one as turns, each with where it stands."""
    role = _role(turn, where)
    given = turn.get("candidates")
    if given is None:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where}, the last turn, has no candidates; it has: {key_names(turn)}")
    if not isinstance(given, list):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.candidates is {kind(given)}; must be a list")
    _note_others(turn, ("role", "candidates"), where, side)
    labelled: dict[str, list[tuple[Row, str]]] = {label: [] for label in LABELS}
    for index, candidate in enumerate(given):
        at = f"{where}.candidates[{index}]"
        if not isinstance(candidate, dict):
            raise InvalidRow(Reason.WRONG_TYPE, f"{at} is {kind(candidate)}; must be an object")
        label = candidate.get("preferenceLabel")
        if label is None:
            raise InvalidRow(Reason.MISSING_FIELD, f"{at} has no preferenceLabel; it has: {key_names(candidate)}")
        if label not in LABELS:
            said = repr(label) if isinstance(label, str) else kind(label)
            raise InvalidRow(
                Reason.WRONG_TYPE, f"{at}.preferenceLabel is {said}; must be 'preferred' or 'non-preferred'"
            )
        side.note_unread(f"{at}.role", candidate.get("role"))
        labelled[label].append(({**candidate, "role": role}, at))
    for label, found in labelled.items():
        if not found:
            raise InvalidRow(Reason.MISSING_FIELD, f"{where}.candidates has none that is {label}")
        if len(found) > 1:
            raise InvalidRow(
                Reason.WRONG_TYPE,
                f"{where}.candidates has {len(found)} that are {label}; must be one: write a row for each pair",
            )
    return [found[0] for found in labelled.values()]


def _turn(turn: Any, where: str, side: Side, *read: str) -> Messages:
    """The messages of one turn: the results of tools each in one of their own, then what the speaker says.

    Args:
        read: the turn's fields that are read already.
    """
    role = _role(turn, where)
    messages: Messages = []
    texts: list[str] = []
    said: dict[str, Any] = {"role": role}
    if "content" not in turn:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no content; it has: {key_names(turn)}")
    _note_others(turn, ("role", "content", *read), where, side)
    for block, value, at in _blocks(turn["content"], f"{where}.content", side):
        if block == "text":
            texts.append(_text(value, at))
        elif block == "toolUse":
            said.setdefault("tool_calls", []).append(_call(value, at))
        elif block == "toolResult":
            messages.append(_result(value, role, at, side))
        elif block == "reasoningContent":
            said["reasoning_content"] = said.get("reasoning_content", "") + _reasoning(value, at, side)
        else:
            raise _unknown(block, at, "text, toolUse, toolResult and reasoningContent")
    if texts or len(said) > 1 or not messages:
        messages += conversation({**said, "content": "".join(texts)}, where, side)
    return messages


def _role(turn: Any, where: str) -> Any:
    if not isinstance(turn, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(turn)}; must be a turn")
    if turn.get("role") is None:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no role; it has: {key_names(turn)}")
    return turn["role"]


def _note_others(value: dict[str, Any], read: tuple[str, ...], where: str, side: Side) -> None:
    """Note what an object has besides the fields that are read."""
    for key, entry in value.items():
        if key not in read:
            side.note_unread(f"{where}.{key}", entry)


def _blocks(content: Any, where: str, side: Side) -> list[Block]:
    """The blocks of a content list; a block's other keys are null where Arrow has unified them."""
    if content is None or isinstance(content, str):
        return [("text", content or "", where)]
    if not isinstance(content, list):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(content)}; must be a list of blocks")
    blocks = []
    for index, block in enumerate(content):
        at = f"{where}[{index}]"
        if not isinstance(block, dict):
            raise InvalidRow(Reason.WRONG_TYPE, f"{at} is {kind(block)}; must be a block")
        held = [(name, value) for name, value in block.items() if value is not None]
        if len(held) != 1:
            names = key_names(name for name, _ in held)
            raise InvalidRow(Reason.WRONG_TYPE, f"{at} must be one block such as text; it has: {names}")
        if held[0][0] in SILENT:
            side.note_unread(f"{at}.{held[0][0]}", held[0][1])
        else:
            blocks.append((*held[0], f"{at}.{held[0][0]}"))
    return blocks


def _unknown(block: str, at: str, allowed: str) -> InvalidRow:
    return InvalidRow(Reason.WRONG_TYPE, f"{at}: a block of {block} cannot be trained on here; only {allowed} can")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(value)}; must be text")
    return value


def _reasoning(value: Any, where: str, side: Side) -> str:
    text = value.get("reasoningText") if isinstance(value, dict) else None
    if not isinstance(text, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} has no reasoningText; other reasoning cannot be trained on")
    _note_others(value, ("reasoningText",), where, side)
    _note_others(text, ("text",), f"{where}.reasoningText", side)
    return _text(text.get("text"), f"{where}.reasoningText.text")


def _call(value: Any, where: str) -> Any:
    """A call as OpenAI writes it, whatever is in there: messages.conversation says what is wrong with it."""
    if not isinstance(value, dict):
        return value
    return {"id" if key == "toolUseId" else key: entry for key, entry in value.items()}


def _result(value: Any, role: Any, where: str, side: Side) -> dict[str, Any]:
    if role != "user":
        raise InvalidRow(Reason.TURN_ORDER, f"{where} is in a turn by the {role}; only the user's turn may hold one")
    if not isinstance(value, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(value)}; must be an object")
    texts = []
    _note_others(value, ("content", "toolUseId"), where, side)
    for block, entry, at in _blocks(value.get("content"), f"{where}.content", side):
        if block not in ("text", "json"):
            raise _unknown(block, at, "text and json")
        if may_have_lost_digits(entry):
            side.large.append(at)
        texts.append(_text(entry, at) if block == "text" else orjson.dumps(entry).decode())
    message = {"role": "tool", "content": "".join(texts)}
    if isinstance(value.get("toolUseId"), str):
        message["tool_call_id"] = value["toolUseId"]
    else:
        side.note_unread(f"{where}.toolUseId", value.get("toolUseId"))
    return message


def tools(row: Row) -> Any:
    """The tools of `toolConfig` as functions with their schemas.

    Raises:
        InvalidRow: tools_invalid.
    """
    config = row.get("toolConfig")
    if config is None:
        return row.get("tools")
    declared = config.get("tools") if isinstance(config, dict) else None
    if declared is None and isinstance(config, dict):
        return None
    if not isinstance(declared, list):
        raise InvalidRow(Reason.TOOLS_INVALID, "toolConfig must be an object whose tools are a list")
    functions = []
    for index, tool in enumerate(declared):
        spec = tool.get("toolSpec") if isinstance(tool, dict) else None
        if not isinstance(spec, dict):
            if isinstance(tool, dict) and tool and all(name in SILENT for name in tool):
                continue
            raise InvalidRow(Reason.TOOLS_INVALID, f"toolConfig.tools[{index}] has no toolSpec")
        schema = spec.get("inputSchema")
        if schema is not None and not isinstance(schema, dict):
            raise InvalidRow(
                Reason.TOOLS_INVALID,
                f"toolConfig.tools[{index}].toolSpec.inputSchema is {kind(schema)}; must be an object",
            )
        rest = {key: value for key, value in spec.items() if key != "inputSchema" and value is not None}
        functions.append({**rest, "parameters": (schema or {}).get("json")})
    return functions


def _note_config(row: Row, side: Side) -> None:
    """Note what `toolConfig` and `system` hold besides tools and texts; `tools` and `system` say what is wrong."""
    config = row.get("toolConfig")
    if isinstance(config, dict):
        _note_others(config, ("tools",), "toolConfig", side)
        for index, tool in enumerate(config["tools"] if isinstance(config.get("tools"), list) else ()):
            where = f"toolConfig.tools[{index}]"
            if isinstance(tool, dict):
                _note_others(tool, ("toolSpec",), where, side)
                schema = tool["toolSpec"].get("inputSchema") if isinstance(tool.get("toolSpec"), dict) else None
                _note_others(schema if isinstance(schema, dict) else {}, ("json",), f"{where}.inputSchema", side)
        if "tools" in row:
            side.note_unread("tools", row["tools"])
    if isinstance(row.get("system"), list):
        _blocks(row["system"], "system", side)


def system(row: Row) -> Any:
    """The system's text; its blocks are statements of their own, each on a line."""
    given = row.get("system")
    if not isinstance(given, list):
        return given
    texts = []
    for block, value, at in _blocks(given, "system", Side(None, {})):
        if block != "text":
            raise _unknown(block, at, "text")
        texts.append(_text(value, at))
    return "\n".join(texts)
