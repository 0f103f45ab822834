"""Chat messages in one form, from the forms that people write, and the rules that a prompt and an answer keep.

Reads `role/content` and `from/value` turns alike. Contents stay as they are, spaces included. Text only: a message
with an image in it is refused. What a model thought before it spoke is one field, `reasoning_content`, by whichever
name the row has it: `reasoning`, `thinking`, or content blocks of these types.
"""

from __future__ import annotations

from typing import Any

import orjson

from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.tool_calls import CallFault, parse_calls
from steps.shared.records import Messages

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt", "bot"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response", "tool_response", "function", "ipython"), "tool"),
}
CALL_ROLES = ("function_call", "tool_call")  # ShareGPT: the turn's text is the call
PLAIN_ROLES = frozenset(ROLES) - frozenset(CALL_ROLES)
REASONING = "reasoning_content"
KEPT_TEXTS = ("name", "tool_call_id", REASONING)  # what chat templates read besides role, content, tool_calls
OTHER_NAMES = ("reasoning", "thinking")  # of reasoning_content, and of content blocks that hold it
FOLLOWS = {  # which turns may come after which; "call" is an assistant's turn that calls tools
    "start": ("user",),
    "user": ("assistant", "call"),
    "assistant": ("user",),
    "call": ("tool",),
    "tool": ("tool", "assistant", "call", "user"),
}


def user_turn(text: Any, field: str) -> Messages:
    """A prompt that is one plain text."""
    if not isinstance(text, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {kind(text)}; must be text")
    return [{"role": "user", "content": text}]


def conversation(value: Any, field: str, side: Side) -> Messages:
    """A list of turns, one turn, or the text of one assistant's turn, as messages.

    Where the side notes malformed tool calls, one stays in its message as text instead of failing the row: a rejected
    answer may be wrong in any way.
    """
    if value is None:
        raise InvalidRow(Reason.EMPTY_RESPONSE, f"{field} is null")
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    if isinstance(value, dict):
        return [_message(value, field, None, side)]
    if not isinstance(value, list):
        raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {kind(value)}; must be text or chat messages")
    return [_message(turn, field, index, side) for index, turn in enumerate(value)]


def _message(turn: Any, field: str, index: int | None, side: Side) -> dict[str, Any]:
    if type(turn) is dict and len(turn) == 2:  # most turns are a known role and a text, and need no more than this
        role, text = turn.get("role") or turn.get("from"), turn.get("content", turn.get("value"))
        if type(role) is str and role in PLAIN_ROLES and type(text) is str:
            return {"role": ROLES[role], "content": text}
    return _any_message(turn, field if index is None else f"{field}[{index}]", side)


def _any_message(turn: Any, where: str, side: Side) -> dict[str, Any]:
    if not isinstance(turn, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(turn)}; must be a chat message")
    given = turn.get("role", turn.get("from"))
    if given is None:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no role; it has: {', '.join(turn) or 'nothing'}")
    if not isinstance(given, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.role is {kind(given)}; must be text")
    spoken = given.strip().lower()
    if spoken not in ROLES:
        raise InvalidRow(Reason.UNKNOWN_ROLE, f"{where} has the role {given!r}; known: {', '.join(ROLES)}")
    calls = turn.get("tool_calls") or turn.get("function_call") or None  # the second is OpenAI's older form
    if not calls and not any(name in turn for name in ("content", "value", "refusal")):
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no content; it has: {', '.join(turn)}")
    role = ROLES[spoken]
    said, thought = _apart(turn.get("content", turn.get("value")), role)
    text = _text(said, role, where)
    if not text and role == "assistant" and isinstance(turn.get("refusal"), str):
        text = turn["refusal"]  # OpenAI keeps what a model said in refusing apart
    if spoken in CALL_ROLES and not calls:
        calls, text = text, ""
    message: dict[str, Any] = {"role": role, "content": text}
    message |= {key: turn[key] for key in KEPT_TEXTS if isinstance(turn.get(key), str)}
    reasoning = thought or next((turn[name] for name in OTHER_NAMES if turn.get(name)), None)
    if role == "assistant" and isinstance(reasoning, str) and REASONING not in message:
        message[REASONING] = reasoning
    if calls:
        if role != "assistant":
            raise InvalidRow(Reason.NOT_ASSISTANT, f"{where} calls tools as {given!r}; only the assistant may")
        _add_calls(message, calls, where, side)
    return message


def _add_calls(message: dict[str, Any], calls: Any, where: str, side: Side) -> None:
    try:
        message["tool_calls"] = parse_calls(calls)
    except CallFault as fault:
        side.note_fault("malformed", f"{where}: {fault}")
        written = calls if isinstance(calls, str) else orjson.dumps(calls).decode()
        message["content"] = f"{message['content']}\n{written}".lstrip("\n")


def _apart(content: Any, role: str) -> tuple[Any, str]:
    """The content without its blocks of reasoning, and what stands in these."""
    if role != "assistant" or not isinstance(content, list):
        return content, ""
    thoughts = [part for part in content if _reasoning(part) is not None]
    rest = [part for part in content if _reasoning(part) is None]
    return rest or ("" if thoughts else content), "".join(_reasoning(part) or "" for part in thoughts)


def _reasoning(block: Any) -> str | None:
    """What a block of reasoning says, a text or a list of texts; None for another block."""
    if not isinstance(block, dict) or block.get("type") not in OTHER_NAMES:
        return None
    said = block.get(block["type"], block.get("text"))
    if isinstance(said, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in said):
        return "".join(part["text"] for part in said)
    return said if isinstance(said, str) else None


def _text(value: Any, role: str, where: str) -> str:
    if isinstance(value, str):
        return value
    if value is None and role in ("user", "assistant"):
        return ""  # an empty turn, which the rules below refuse; never the text "None"
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "".join(part["text"] for part in value)
    raise InvalidRow(Reason.WRONG_TYPE, f"{where}.content is {kind(value)}; must be text")


def is_blank(message: dict[str, Any]) -> bool:
    text = message["content"]
    return (not text or text.isspace()) and not message.get("tool_calls")


def check_prompt(prompt: Messages) -> None:
    """A prompt is a system message if any, then user and assistant in turn, and leaves the next turn to the assistant.

    Raises:
        InvalidRow: empty_prompt or turn_order.
    """
    turns = prompt[1:] if prompt and prompt[0]["role"] == "system" else prompt
    if len(turns) == 1 and turns[0]["role"] == "user" and not is_blank(turns[0]):
        return  # as most prompts are
    if not turns:
        raise InvalidRow(Reason.EMPTY_PROMPT, "the prompt has no turn of the user")
    for index, message in enumerate(turns):
        if message["role"] in ("user", "assistant") and is_blank(message):
            raise InvalidRow(Reason.EMPTY_PROMPT, f"turn {index + 1} of the prompt, by the {message['role']}, is empty")
    last = _check_order(turns, "start", "the prompt")
    if "assistant" not in FOLLOWS[last]:
        raise InvalidRow(
            Reason.TURN_ORDER, f"the prompt ends with the turn of the {last}; the user or a tool must be last"
        )


def check_answer(answer: Messages, field: str) -> None:
    """An answer is one assistant's turn, or a run of calls, their results, and the assistant's last word.

    Raises:
        InvalidRow: empty_response, not_assistant or turn_order.
    """
    if len(answer) == 1 and answer[0]["role"] == "assistant" and not is_blank(answer[0]):
        return  # as most answers are
    if not answer:
        raise InvalidRow(Reason.EMPTY_RESPONSE, f"{field} is an empty list")
    for message in answer:
        if message["role"] not in ("assistant", "tool"):
            raise InvalidRow(Reason.NOT_ASSISTANT, f"{field} holds a turn by the {message['role']}")
        if message["role"] == "assistant" and is_blank(message):
            raise InvalidRow(Reason.EMPTY_RESPONSE, f"{field} is empty")
    if answer[0]["role"] != "assistant" or answer[-1]["role"] != "assistant":
        raise InvalidRow(Reason.NOT_ASSISTANT, f"{field} must begin and end with a turn by the assistant")
    _check_order(answer, "user", field)


def _check_order(turns: Messages, before: str, where: str) -> str:
    """Check each turn against the one before it, and return what the last one was."""
    for index, message in enumerate(turns):
        turn = "call" if message.get("tool_calls") else message["role"]
        if turn not in FOLLOWS[before]:
            allowed = " or ".join(FOLLOWS[before])
            raise InvalidRow(
                Reason.TURN_ORDER, f"turn {index + 1} of {where} is {turn}; after {before} must come {allowed}"
            )
        before = turn
    return before
