"""Chat messages in one form, from the forms that people write.

Reads `role/content` and `from/value` turns alike. Contents stay as they are, spaces included. Text only: a message
with an image in it is refused. What a model thought before it spoke is one field, `reasoning_content`, by whichever
name the row has it: `reasoning`, `thinking`, or content blocks of these types. Every other key of a turn is noted as
unread. In harmony's channels a thought is a turn of its own, before the final one.
"""

from __future__ import annotations

from typing import Any

import orjson

from steps.preprocess.rows.blocks import REASONING, THOUGHTS, read_content, refuse_media
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.reasons import InvalidRow, Reason, key_names, quoted
from steps.preprocess.rows.tool_calls import CallFault, UnreadField, parse_calls
from steps.preprocess.rows.turn_order import ANALYSIS, CHANNEL, CHANNELS, DEVELOPER, joined
from steps.shared.records import Messages, content

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt", "bot", "ai"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response", "tool_response", "function", "ipython"), "tool"),
}
CALL_ROLES = ("function_call", "tool_call")  # ShareGPT: the turn's text is the call
PLAIN_ROLES = frozenset(ROLES) - frozenset((*CALL_ROLES, DEVELOPER))
SPEAKERS = frozenset(ROLES.values())
MESSAGE = ("role", "content")  # the keys of a message that is a text and no more
KEPT_TEXTS = ("name", "tool_call_id", REASONING)  # what chat templates read besides role, content and tool_calls
SPOKEN = ("content", "value")  # names of what is said; OpenAI keeps what a model says in refusing apart
CALLS = ("tool_calls", "function_call", "tool_call", "function_calls", "toolCalls")  # the first two are OpenAI's
BESIDE_CALLS = "additional_kwargs"  # LangChain's, in which the calls may stand a second time
TOOLS = ("tools", "functions")  # which a turn of the system may declare
READ = frozenset(("role", "from", *SPOKEN, "refusal", *CALLS, *KEPT_TEXTS, *THOUGHTS))
NOTHING: tuple[Any, ...] = (None, [], {}, "")


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
        plain = _plain(value)
        return [plain] if plain else joined(_turn(value, field, side), field)
    if not isinstance(value, list):
        raise InvalidRow(Reason.WRONG_TYPE, f"{field} is {kind(value)}; must be text or chat messages")
    messages: Messages = []
    all_plain = True
    for index, turn in enumerate(value):
        plain = _plain(turn)
        if plain:
            messages.append(plain)
        else:
            all_plain = False
            messages += _turn(turn, f"{field}[{index}]", side)
    return messages if all_plain else joined(messages, field)


def _plain(turn: Any) -> dict[str, Any] | None:
    """A turn that is a known role and a text, as most are; None for one that is more, or wrong.

    One that is a message already is the same object.
    """
    if type(turn) is dict and len(turn) == 2:
        if tuple(turn) == MESSAGE:
            role, text = turn.values()
            if type(text) is str and type(role) is str and role in SPEAKERS:
                return turn
        role, text = turn.get("role") or turn.get("from"), turn.get("content", turn.get("value"))
        if type(role) is str and role in PLAIN_ROLES and type(text) is str:
            return {"role": ROLES[role], "content": text}
    return None


def _turn(turn: Any, where: str, side: Side) -> Messages:
    """The messages of a turn: results of tools, which Anthropic's turns of the user hold, then what is said.

    Those that belong to the turn beside them are not joined to it yet, and say so (see turn_order.joined).
    """
    spoken = _role(turn, where)
    role = ROLES[spoken]
    refuse_media(turn, where)
    calls = _given_calls(turn)
    if not calls and not any(name in turn for name in (*SPOKEN, "refusal")):
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no content; it has: {key_names(turn)}")
    said = read_content(_spoken(turn, where), role, where, side)
    text = said.text
    _note_others(turn, role, where, side)
    if isinstance(turn.get("refusal"), str) and not text and role == "assistant":
        text = turn["refusal"]
    else:
        side.note_unread(f"{where}.refusal", turn.get("refusal"))
    if spoken in CALL_ROLES and not calls:
        calls, text = [text], ""
    if said.calls:
        calls.append(list(said.calls))
    message: dict[str, Any] = {"role": DEVELOPER if spoken == DEVELOPER else role, "content": text}
    if role == "assistant" and turn.get(CHANNEL) == ANALYSIS:
        message[CHANNEL] = ANALYSIS
    for key in KEPT_TEXTS:
        if isinstance(turn.get(key), str):
            message[key] = turn[key]
        else:
            side.note_unread(f"{where}.{key}", turn.get(key))
    _add_reasoning(message, turn, said.thought, where, side)
    if calls:
        if role != "assistant":
            raise InvalidRow(Reason.NOT_ASSISTANT, f"{where} calls tools as {quoted(spoken)}; only the assistant may")
        _add_calls(message, calls, where, side)
    if role == "tool" and said.results and not text:
        return [{**message, **result} for result in said.results]
    if said.results and not text:
        for key in message.keys() - {"role", "content"}:
            side.note_unread(f"{where}.{key}", message[key])
        return list(said.results)
    return [*said.results, message]


def _given_calls(turn: dict[str, Any]) -> list[Any]:
    """The calls of a turn by each of the places that it has them in."""
    beside = turn.get(BESIDE_CALLS)
    places = (turn, beside) if isinstance(beside, dict) else (turn,)
    return [place[name] for place in places for name in CALLS if place.get(name) not in NOTHING]


def _note_others(turn: dict[str, Any], role: str, where: str, side: Side) -> None:
    """Note what else a turn has: tools that it declares, which must be the row's, and what nothing reads."""
    for key, value in turn.items():
        if key in READ and not (key == "from" and turn.get("role")):
            continue
        if key in TOOLS and role in ("system", "user") and value not in NOTHING:
            side.tools.append((f"{where}.{key}", value))
        elif key == CHANNEL and role == "assistant" and value is not None:
            if value not in CHANNELS:
                said = f"{where}.{key} is {quoted(value)}; turns of {' and '.join(CHANNELS)} can be trained on"
                raise InvalidRow(Reason.UNSUPPORTED_FIELD, said)
        elif key == BESIDE_CALLS and isinstance(value, dict):
            side.note_unread(f"{where}.{key}", {name: value[name] for name in value if name not in CALLS} or None)
        else:
            side.note_unread(f"{where}.{key}", value)


def _spoken(turn: dict[str, Any], where: str) -> Any:
    """What is said in a turn, by the one name for it that is not null."""
    given = [turn[name] for name in SPOKEN if turn.get(name) is not None]
    if len(given) > 1 and given[0] != given[1]:
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} has a content and a value that differ; must be one of them")
    return given[0] if given else None


def _role(turn: Any, where: str) -> str:
    """Who speaks, by the name that the turn has for it, which is one of ROLES."""
    if not isinstance(turn, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(turn)}; must be a chat message")
    given = turn.get("role") or turn.get("from")
    if given is None:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no role; it has: {key_names(turn)}")
    if not isinstance(given, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where}.role is {kind(given)}; must be text")
    spoken = given.strip().lower()
    if spoken not in ROLES:
        raise InvalidRow(Reason.UNKNOWN_ROLE, f"{where} has the role {quoted(given)}; known: {', '.join(ROLES)}")
    return spoken


def _add_reasoning(message: dict[str, Any], turn: dict[str, Any], thought: str, where: str, side: Side) -> None:
    """Keep the first of a turn's texts of reasoning; one that says something else is noted as unread."""
    given = {f"{where}.content[].thinking": thought or None} | {f"{where}.{name}": turn.get(name) for name in THOUGHTS}
    for place, said in given.items():
        if message["role"] == "assistant" and isinstance(said, str) and said and not message.get(REASONING):
            message[REASONING] = said
        elif said != message.get(REASONING):
            side.note_unread(place, said)


def _add_calls(message: dict[str, Any], given: list[Any], where: str, side: Side) -> None:
    """Add a turn's calls, or, where these are malformed, their text.

    Args:
        given: the calls by each of the places that a turn may have them in; a turn that has several says the same.
    """
    try:
        parsed = [parse_calls(calls, where, side) for calls in given]
        if any(content([{"tool_calls": calls}]) != content([{"tool_calls": parsed[0]}]) for calls in parsed[1:]):
            raise CallFault("the turn has calls in two places, and they differ")
        message["tool_calls"] = parsed[0]
    except UnreadField as fault:
        raise InvalidRow(Reason.TOOL_CALL_INVALID, f"{where}: {fault}") from None
    except CallFault as fault:
        side.note_fault("malformed", f"{where}: {fault}")
        written = [calls if isinstance(calls, str) else orjson.dumps(calls).decode() for calls in given]
        message["content"] = "\n".join([message["content"], *written]).lstrip("\n")
