"""What the turns of a prompt and of an answer must keep to: who may speak after whom, and that all say something.

Turns that belong to the one beside them are joined to it: a thought of harmony's, which has a channel of its own, to
the answer that it leads to; a developer's words to the system's, since both instruct.
"""

from __future__ import annotations

from typing import Any

from steps.preprocess.rows.blocks import REASONING
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.records import Messages

CHANNEL, ANALYSIS = "channel", "analysis"
CHANNELS = (ANALYSIS, "final")
DEVELOPER = "developer"
FOLLOWS = {  # which turns may come after which; "call" is an assistant's turn that calls tools
    "start": ("user",),
    "system": ("user",),
    "user": ("assistant", "call"),
    "assistant": ("user",),
    "call": ("tool",),
    "tool": ("tool", "assistant", "call", "user"),
}


def is_blank(message: dict[str, Any]) -> bool:
    text = message["content"]
    return (not text or text.isspace()) and not message.get("tool_calls")


def joined(messages: Messages, field: str) -> Messages:
    """The messages of a conversation with thoughts and a developer's words where they belong.

    Raises:
        InvalidRow: turn_order where no answer follows a thought; wrong_type for one that calls tools, or whose answer
            has another one of its own.
    """
    if not any(CHANNEL in message or message["role"] == DEVELOPER for message in messages):
        return messages
    found: Messages = []
    thoughts: list[str] = []
    for message in messages:
        if CHANNEL in message:
            if "tool_calls" in message:
                raise InvalidRow(Reason.WRONG_TYPE, f"{field}: a turn of the channel {ANALYSIS} calls tools")
            thoughts.append(message["content"])
            continue
        if thoughts:
            message = _thought(message, "\n\n".join(thoughts), field)
            thoughts = []
        if message["role"] == DEVELOPER:
            message = {**message, "role": "system"}
            if len(found) == 1 and found[0]["role"] == "system":
                texts = [text for text in (found.pop()["content"], message["content"]) if text]
                message["content"] = "\n\n".join(texts)
        found.append(message)
    if thoughts:
        raise InvalidRow(
            Reason.TURN_ORDER, f"{field} ends with a turn of the channel {ANALYSIS}; an answer must follow"
        )
    return found


def _thought(message: dict[str, Any], thought: str, field: str) -> dict[str, Any]:
    """The answer that a thought led to, with it."""
    if message["role"] != "assistant":
        said = f"{field}: a turn of the channel {ANALYSIS} is followed by one of the {message['role']}"
        raise InvalidRow(Reason.TURN_ORDER, f"{said}; the assistant's answer must follow")
    if message.get(REASONING, thought) != thought:
        said = f"{field}: a turn has the {REASONING} of its own, and another in the channel {ANALYSIS} before it"
        raise InvalidRow(Reason.WRONG_TYPE, said)
    return {**message, REASONING: thought} if thought.strip() else message


def is_joined(turn: Any, before: int) -> bool:
    """Whether a row's turn is no message of its own but part of one, where so many messages come before it."""
    if not isinstance(turn, dict):
        return False
    role = str(turn.get("role") or turn.get("from")).strip().lower()
    return turn.get(CHANNEL) == ANALYSIS or (role == DEVELOPER and before == 1)


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
    for number, message in enumerate(prompt, 1):
        if message["role"] in ("user", "assistant") and is_blank(message):
            raise InvalidRow(Reason.EMPTY_PROMPT, f"turn {number} of the prompt, by the {message['role']}, is empty")
    last = _check_order(prompt, "start" if turns is prompt else "system", "the prompt", len(prompt) - len(turns))
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


def _check_order(turns: Messages, before: str, where: str, first: int = 0) -> str:
    """Check each turn from `first` on against the one before it, and return what the last one was."""
    for index in range(first, len(turns)):
        message = turns[index]
        turn = "call" if message.get("tool_calls") else message["role"]
        if turn not in FOLLOWS[before]:
            allowed = " or ".join(FOLLOWS[before])
            fix = _fix(turn, turns[index - 1], message) if turn == before else ""
            if turn == "system" and not fix:
                fix = "; only the first turn may be the system's"
            raise InvalidRow(
                Reason.TURN_ORDER, f"turn {index + 1} of {where} is {turn}; after {before} must come {allowed}{fix}"
            )
        before = turn
    return before


def _fix(turn: str, before: dict[str, Any], message: dict[str, Any]) -> str:
    """What a user can do about two turns of the same speaker, where they can be joined."""
    silent = turn == "call" and not message["content"].strip()
    if (silent or turn in ("system", "user", "assistant")) and before.get("name") == message.get("name"):
        return "; --merge-turns (merge_turns) joins the two"
    return ""
