"""What the turns of a prompt and of an answer must keep to: who may speak after whom, and that all say something."""

from __future__ import annotations

from typing import Any

from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.records import Messages

FOLLOWS = {  # which turns may come after which; "call" is an assistant's turn that calls tools
    "start": ("user",),
    "user": ("assistant", "call"),
    "assistant": ("user",),
    "call": ("tool",),
    "tool": ("tool", "assistant", "call", "user"),
}


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
            fix = "; --merge-turns (merge_turns) joins the two" if turn == before else ""
            raise InvalidRow(
                Reason.TURN_ORDER, f"turn {index + 1} of {where} is {turn}; after {before} must come {allowed}{fix}"
            )
        before = turn
    return before
