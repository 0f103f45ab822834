"""The layouts that are made of texts and chat messages: a row of each into its pair.

A message itself is read by steps/preprocess/rows/messages.py, the same for all of them.
"""

from __future__ import annotations

from typing import Any

from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Notes, Side
from steps.preprocess.rows.pairs import TURNS, Pair, Row, note_answer, split
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.tool_calls import CallFault, split_marked
from steps.shared.records import Messages

TOOLCALL = ("<TOOLCALL>", "</TOOLCALL>")


def read_plain(row: Row, notes: Notes) -> Pair:
    return Pair(
        [{"role": "user", "content": row["prompt"]}],
        [{"role": "assistant", "content": row["chosen"]}],
        [{"role": "assistant", "content": row["rejected"]}],
    )


def read_chat(row: Row, notes: Notes) -> Pair:
    better, worse = notes.chosen.apart(), notes.rejected.apart()
    prompt = conversation(row["prompt"], "prompt", notes.chosen)
    chosen = conversation(row["chosen"], "chosen", better)
    rejected = conversation(row["rejected"], "rejected", worse)
    count = len(prompt)
    if prompt and chosen[:count] == rejected[:count] == prompt:  # the answers repeat the prompt
        chosen, rejected = chosen[count:], rejected[count:]
    else:
        count = 0
    if better.faults:
        note_answer(row["chosen"], count, notes.chosen)
    if worse.faults:
        note_answer(row["rejected"], count, notes.rejected)
    return Pair(prompt, chosen, rejected)


def has_messages(row: Row) -> bool:
    """Whether one answer at least is messages; the other may be a text."""
    return not (isinstance(row["chosen"], str) and isinstance(row["rejected"], str))


def read_ultrafeedback(row: Row, notes: Notes) -> Pair:
    worse = notes.rejected.apart()
    chosen = conversation(row["chosen"], "chosen", notes.chosen)
    rejected = conversation(row["rejected"], "rejected", worse)
    if not (chosen and rejected) or chosen[0]["role"] == rejected[0]["role"] == "assistant":
        notes.rejected.faults = worse.faults
        return Pair([{"role": "user", "content": row["prompt"]}], chosen, rejected)
    pair = split(chosen, rejected)
    if worse.faults:
        note_answer(row["rejected"], len(pair.prompt), notes.rejected)
    wanted = row["prompt"].strip()
    if not any(message["role"] == "user" and message["content"].strip() == wanted for message in pair.prompt):
        raise InvalidRow(
            Reason.PROMPT_MISMATCH, "prompt is not a turn that the conversations of chosen and rejected share"
        )
    return pair


def read_when2call(row: Row, notes: Notes) -> Pair:
    return Pair(
        _with_calls(row, "messages", notes.chosen),
        _with_calls(row, "chosen_response", notes.chosen),
        _with_calls(row, "rejected_response", notes.rejected),
    )


def read_sharegpt(row: Row, notes: Notes) -> Pair:
    return Pair(
        conversation(row["conversations"], "conversations", notes.chosen),
        conversation(row["chosen"], "chosen", notes.chosen),
        conversation(row["rejected"], "rejected", notes.rejected),
    )


def read_openai(row: Row, notes: Notes) -> Pair:
    """OpenAI's preference fine-tuning; what `input` has besides, as `parallel_tool_calls`, is for the API."""
    asked = row["input"]
    notes.unread.update(
        (f"input.{name}", value)
        for name, value in asked.items()
        if name not in ("messages", "system", "tools", "functions") and value is not None
    )
    if "messages" not in asked:
        has = ", ".join(asked) or "nothing"
        raise InvalidRow(Reason.MISSING_FIELD, f"input.messages is missing (openai layout); input has: {has}")
    if not isinstance(asked["messages"], TURNS):
        raise InvalidRow(Reason.WRONG_TYPE, f"input.messages is {kind(asked['messages'])}; must be chat messages")
    return Pair(
        conversation(asked["messages"], "input.messages", notes.chosen),
        conversation(row["preferred_output"], "preferred_output", notes.chosen),
        conversation(row["non_preferred_output"], "non_preferred_output", notes.rejected),
    )


def openai_tools(row: Row) -> Any:
    given = {f"input.{name}": row["input"].get(name) for name in ("tools", "functions")} | {"tools": row.get("tools")}
    found = [(name, value) for name, value in given.items() if value]
    for name, value in found[1:]:
        if value != found[0][1]:
            raise InvalidRow(Reason.TOOLS_INVALID, f"{found[0][0]} and {name} declare different tools")
    return found[0][1] if found else None


def openai_system(row: Row) -> Any:
    inside, beside = row["input"].get("system"), row.get("system")
    if inside and beside and inside != beside:
        raise InvalidRow(Reason.PROMPT_MISMATCH, "input.system and system say different things")
    return inside or beside


def read_implicit_prompt(row: Row, notes: Notes) -> Pair:
    worse = notes.rejected.apart()
    chosen = conversation(row["chosen"], "chosen", notes.chosen)
    rejected = conversation(row["rejected"], "rejected", worse)
    pair = split(chosen, rejected)
    if worse.faults:
        note_answer(row["rejected"], len(pair.prompt), notes.rejected)
    return pair


def _with_calls(row: Row, field: str, side: Side) -> Messages:
    """The messages of a field, with the `<TOOLCALL>` text of the assistant's messages turned into tool calls."""
    messages = conversation(row[field], field, side)
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and "<TOOLCALL>" in message["content"] and "tool_calls" not in message:
            try:
                text, calls = split_marked(message["content"], *TOOLCALL, field, side)
            except CallFault as fault:
                side.note_fault("malformed", f"{field}: {fault}")
                continue
            messages[index] = {**message, "content": text, "tool_calls": calls}
    return messages
