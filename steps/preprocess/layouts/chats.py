"""The layouts that are made of texts and chat messages: a row of each into its pair.

A message itself is read by steps/preprocess/rows/messages.py, the same for all of them.
"""

from __future__ import annotations

from typing import Any

from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.messages import conversation, malformed_call
from steps.preprocess.rows.pairs import TURNS, Faults, Pair, Row, note_answer, split
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.tool_calls import CallFault, split_toolcall_text
from steps.shared.records import Messages


def read_plain(row: Row, faults: Faults) -> Pair:
    return Pair(
        [{"role": "user", "content": row["prompt"]}],
        [{"role": "assistant", "content": row["chosen"]}],
        [{"role": "assistant", "content": row["rejected"]}],
    )


def read_chat(row: Row, faults: Faults) -> Pair:
    better: list[str] | None = None if faults.chosen is None else []
    worse: list[str] = []
    prompt = conversation(row["prompt"], "prompt", faults.chosen)
    chosen = conversation(row["chosen"], "chosen", better)
    rejected = conversation(row["rejected"], "rejected", worse)
    count = len(prompt)
    if prompt and chosen[:count] == rejected[:count] == prompt:  # the answers repeat the prompt
        chosen, rejected = chosen[count:], rejected[count:]
    else:
        count = 0
    if better:
        note_answer(row["chosen"], count, faults.chosen)
    if worse:
        note_answer(row["rejected"], count, faults.rejected)
    return Pair(prompt, chosen, rejected)


def read_ultrafeedback(row: Row, faults: Faults) -> Pair:
    worse: list[str] = []
    chosen = conversation(row["chosen"], "chosen", faults.chosen)
    rejected = conversation(row["rejected"], "rejected", worse)
    if not (chosen and rejected) or chosen[0]["role"] == rejected[0]["role"] == "assistant":
        faults.rejected += worse
        return Pair([{"role": "user", "content": row["prompt"]}], chosen, rejected)
    pair = split(chosen, rejected)
    if worse:
        note_answer(row["rejected"], len(pair.prompt), faults.rejected)
    wanted = row["prompt"].strip()
    if not any(message["role"] == "user" and message["content"].strip() == wanted for message in pair.prompt):
        raise InvalidRow(
            Reason.PROMPT_MISMATCH, "prompt is not a turn that the conversations of chosen and rejected share"
        )
    return pair


def read_when2call(row: Row, faults: Faults) -> Pair:
    return Pair(
        _with_calls(row, "messages", faults.chosen),
        _with_calls(row, "chosen_response", faults.chosen),
        _with_calls(row, "rejected_response", faults.rejected),
    )


def read_sharegpt(row: Row, faults: Faults) -> Pair:
    return Pair(
        conversation(row["conversations"], "conversations", faults.chosen),
        conversation(row["chosen"], "chosen", faults.chosen),
        conversation(row["rejected"], "rejected", faults.rejected),
    )


def read_openai(row: Row, faults: Faults) -> Pair:
    """OpenAI's preference fine-tuning; its `parallel_tool_calls` is for the API and says nothing to the model."""
    asked = row["input"]
    if "messages" not in asked:
        has = ", ".join(asked) or "nothing"
        raise InvalidRow(Reason.MISSING_FIELD, f"input.messages is missing (openai layout); input has: {has}")
    if not isinstance(asked["messages"], TURNS):
        raise InvalidRow(Reason.WRONG_TYPE, f"input.messages is {kind(asked['messages'])}; must be chat messages")
    return Pair(
        conversation(asked["messages"], "input.messages", faults.chosen),
        conversation(row["preferred_output"], "preferred_output", faults.chosen),
        conversation(row["non_preferred_output"], "non_preferred_output", faults.rejected),
    )


def openai_tools(row: Row) -> Any:
    return row["input"].get("tools") or row.get("tools")


def read_implicit_prompt(row: Row, faults: Faults) -> Pair:
    worse: list[str] = []
    chosen = conversation(row["chosen"], "chosen", faults.chosen)
    rejected = conversation(row["rejected"], "rejected", worse)
    pair = split(chosen, rejected)
    if worse:
        note_answer(row["rejected"], len(pair.prompt), faults.rejected)
    return pair


def _with_calls(row: Row, field: str, faults: list[str] | None) -> Messages:
    """The messages of a field, with the `<TOOLCALL>` text of the assistant's messages turned into tool calls."""
    messages = conversation(row[field], field, faults)
    for message in messages:
        if message["role"] == "assistant" and "<TOOLCALL>" in message["content"] and "tool_calls" not in message:
            try:
                text, calls = split_toolcall_text(message["content"])
            except CallFault as fault:
                malformed_call(f"{field}: {fault}", faults)
                continue
            message |= {"content": text, "tool_calls": calls}
    return messages
