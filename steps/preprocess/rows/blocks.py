"""What a message's content says, given as a text or as the content blocks of OpenAI, Anthropic and their kin.

Read are blocks of text, of reasoning, of calls (`tool_use`) and of their results (`tool_result`). What a tool gave back
may be any JSON, and becomes the text that it is as JSON: a list of objects is blocks only where all of them have the
types and the keys of blocks. Images, sound, video and files refuse the row by name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from steps.preprocess.rows.json_values import kind, may_have_lost_digits
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.reasons import InvalidRow, Reason, quoted

TEXTS = (None, "text", "input_text", "output_text")  # types of blocks whose `text` is what is said
THOUGHTS = ("reasoning", "thinking")
REASONING = "reasoning_content"  # of a message: what a model thought before it spoke
UNREADABLE = ("redacted_thinking",)  # encrypted: nothing in there that a model could learn
MEDIA = frozenset(
    f"{name}{end}"
    for name in ("image", "audio", "video", "file", "document", "attachment")
    for end in ("", "s", "_url", "_urls")
) | {"input_audio", "input_image", "input_file"}
BESIDE_BLOCKS = frozenset(("type", "cache_control", "citations", "annotations", "meta", "_meta"))
OF_TEXT = BESIDE_BLOCKS | {"text"}
OF_RESULT = BESIDE_BLOCKS | {"tool_use_id", "content", "is_error"}
OF_MEDIA = BESIDE_BLOCKS | MEDIA | {"source", "data", "mimeType", "mime_type", "media_type", "detail"}


class Content(NamedTuple):
    """What a content holds: texts of speech and of reasoning, calls as they are written, and results as messages."""

    text: str
    thought: str = ""
    calls: tuple[Any, ...] = ()
    results: tuple[dict[str, Any], ...] = ()


def read_content(value: Any, role: str, where: str, side: Side) -> Content:
    """The content of a turn by `role`, which stands at `where`.

    Raises:
        InvalidRow: wrong_type for what is no content of such a turn, or cannot be trained on.
    """
    if isinstance(value, str):
        return Content(value)
    if value is None and role in ("user", "assistant"):
        return Content("")  # an empty turn, which the rules refuse; never the text "None"
    if role == "tool" and not (_are_blocks(value) and all(map(_may_be_of_tool, value))):
        return Content(_result_text(value, where, side))
    if not _are_blocks(value):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.content is {kind(value)}; must be text")
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Any] = []
    results: list[dict[str, Any]] = []
    for index, block in enumerate(value):
        at = f"{where}.content[{index}]"
        given = block.get("type")
        refuse_media(block, at)
        if given in TEXTS:
            texts.append(_said(block, ("text",), at, side))
        elif given == "refusal" and role == "assistant":
            texts.append(_said(block, ("refusal",), at, side))
        elif given in THOUGHTS and role == "assistant":
            thoughts.append(_said(block, (given, "text"), at, side))
        elif given == "tool_use" and role == "assistant":
            calls.append(block)
        elif given == "tool_result" and role in ("user", "tool"):
            results.append(_result(block, at, side))
        elif given in UNREADABLE:
            side.note_unread(at, block)
        else:
            raise InvalidRow(
                Reason.WRONG_TYPE, f"{at}: a block of type {quoted(given)} by the {role} cannot be trained on here"
            )
    return Content("".join(texts), "".join(thoughts), tuple(calls), tuple(results))


def refuse_media(turn: dict[str, Any], where: str) -> None:
    """Raises InvalidRow where a turn or a block holds what is no text: a field of MEDIA that is not empty."""
    if not MEDIA.isdisjoint(turn):
        for name in turn:
            if name in MEDIA and turn[name]:
                said = f"{where}.{name} holds {kind(turn[name])}; only texts can be trained on here"
                raise InvalidRow(Reason.WRONG_TYPE, said)


def _are_blocks(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(part, dict) and (isinstance(part.get("text"), str) or isinstance(part.get("type"), str))
        for part in value
    )


def _may_be_of_tool(block: dict[str, Any]) -> bool:
    """Whether what a tool gave back is a content block, and no object of its own that has a text or a type too."""
    given = block.get("type")
    if given in TEXTS:
        return isinstance(block.get("text"), str) and OF_TEXT.issuperset(_given(block))
    if given == "tool_result":
        return OF_RESULT.issuperset(_given(block))
    return isinstance(given, str) and given in MEDIA and len(block) > 1 and OF_MEDIA.issuperset(_given(block))


def _given(block: dict[str, Any]) -> list[str]:
    """The keys of a block that hold something; Arrow gives every object the keys of all."""
    return [key for key, value in block.items() if value is not None]


def _said(block: dict[str, Any], names: tuple[str, ...], where: str, side: Side) -> str:
    """The text of a block, which stands under the first of these names that it has."""
    name = next((name for name in names if block.get(name) is not None), names[0])
    said = block.get(name)
    if isinstance(said, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in said):
        said = "".join(_said(part, ("text",), f"{where}.{name}[]", side) for part in said)
    if not isinstance(said, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.{name} is {kind(said)}; must be text")
    for key, entry in block.items():
        if key not in ("type", name):
            side.note_unread(f"{where}.{key}", entry)
    return said


def _result(block: dict[str, Any], where: str, side: Side) -> dict[str, Any]:
    """The message of a tool whose result is a block."""
    content = block.get("content")
    message = {"role": "tool", "content": "" if content is None else _of_result(content, where, side)}
    if isinstance(block.get("tool_use_id"), str):
        message["tool_call_id"] = block["tool_use_id"]
    for key, entry in block.items():
        if key not in ("type", "content") and not (key == "tool_use_id" and "tool_call_id" in message):
            side.note_unread(f"{where}.{key}", entry)
    return message


def _of_result(content: Any, where: str, side: Side) -> str:
    inner = read_content(content, "tool", where, side)
    if inner.results:
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.content holds another tool_result; must be text")
    return inner.text


def _result_text(value: Any, where: str, side: Side) -> str:
    if value is None:
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.content is null; must be text")
    if may_have_lost_digits(value):
        side.large.append(f"{where}.content")
    return orjson.dumps(value).decode()
