"""The layouts of preference files: how each is recognised and read. One function and one line of FORMATS for each.

A layout is recognised by the types of its fields alone, so a row that is wrong inside still gets read by its own
layout and named for what is wrong with it. Reading turns a row into prompt, chosen and rejected messages; what makes
these good messages is checked afterwards, the same for all layouts (steps/preprocess/convert.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steps.preprocess.messages import conversation, malformed_call, user_turn
from steps.preprocess.reasons import InvalidRow, Reason
from steps.preprocess.tools import CallFault, kind, split_toolcall_text
from steps.records import Messages

Row = dict[str, Any]
ABSENT = type(None)  # a field that is null is as good as absent
TURNS = (list, dict)


@dataclass(frozen=True)
class Pair:
    """What a layout reads from a row. `faults` notes the malformed calls of `rejected`, which are kept as text."""

    prompt: Messages
    chosen: Messages
    rejected: Messages
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """A layout: a row fits it when each field has one of its types."""

    name: str
    description: str
    fields: Mapping[str, tuple[type, ...]]
    read: Callable[[Row], Pair]

    def fits(self, row: Row) -> bool:
        return all(isinstance(row.get(name), types) for name, types in self.fields.items())

    def explain(self, row: Row) -> InvalidRow:
        """Why a row does not fit, by the first field that does not."""
        for name, types in self.fields.items():
            value = row.get(name)
            if isinstance(value, types):
                continue
            if name not in row:
                has = ", ".join(row) or "nothing"
                return InvalidRow(Reason.MISSING_FIELD, f"{name} is missing ({self.name} layout); the row has: {has}")
            if value is None and name.startswith(("chosen", "rejected")):
                return InvalidRow(Reason.EMPTY_RESPONSE, f"{name} is null")
            if value is None:
                return InvalidRow(Reason.EMPTY_PROMPT, f"{name} is null")
            return InvalidRow(Reason.WRONG_TYPE, f"{name} is {kind(value)}, which the {self.name} layout does not have")
        raise AssertionError(f"the row fits {self.name}")


def read_plain(row: Row) -> Pair:
    return Pair(
        user_turn(row["prompt"], "prompt"),
        conversation(row["chosen"], "chosen"),
        conversation(row["rejected"], "rejected"),
    )


def read_chat(row: Row) -> Pair:
    faults: list[str] = []
    prompt = conversation(row["prompt"], "prompt")
    chosen = conversation(row["chosen"], "chosen")
    rejected = conversation(row["rejected"], "rejected", faults)
    count = len(prompt)
    if prompt and chosen[:count] == rejected[:count] == prompt:  # the answers repeat the prompt
        chosen, rejected = chosen[count:], rejected[count:]
    return Pair(prompt, chosen, rejected, faults)


def read_implicit_prompt(row: Row) -> Pair:
    faults: list[str] = []
    return _split(conversation(row["chosen"], "chosen"), conversation(row["rejected"], "rejected", faults), faults)


def read_ultrafeedback(row: Row) -> Pair:
    asked = user_turn(row["prompt"], "prompt")
    faults: list[str] = []
    chosen = conversation(row["chosen"], "chosen")
    rejected = conversation(row["rejected"], "rejected", faults)
    if not (chosen and rejected) or chosen[0]["role"] == rejected[0]["role"] == "assistant":
        return Pair(asked, chosen, rejected, faults)
    pair = _split(chosen, rejected, faults)
    wanted = row["prompt"].strip()
    if not any(message["role"] == "user" and message["content"].strip() == wanted for message in pair.prompt):
        raise InvalidRow(
            Reason.PROMPT_MISMATCH, "prompt is not a turn that the conversations of chosen and rejected share"
        )
    return pair


def read_when2call(row: Row) -> Pair:
    faults: list[str] = []
    return Pair(
        _with_calls(conversation(row["messages"], "messages"), "messages", None),
        _with_calls(conversation(row["chosen_response"], "chosen_response"), "chosen_response", None),
        _with_calls(conversation(row["rejected_response"], "rejected_response", faults), "rejected_response", faults),
        faults,
    )


def read_sharegpt(row: Row) -> Pair:
    faults: list[str] = []
    return Pair(
        conversation(row["conversations"], "conversations"),
        conversation(row["chosen"], "chosen"),
        conversation(row["rejected"], "rejected", faults),
        faults,
    )


def _split(chosen: Messages, rejected: Messages, faults: list[str]) -> Pair:
    """Split two whole conversations where they part, but not later than the last turn that leaves each an answer.

    One conversation may be the beginning of the other: its last turn is then its answer, and not part of the prompt.
    """
    if not chosen or not rejected:
        raise InvalidRow(Reason.EMPTY_RESPONSE, f"{'rejected' if chosen else 'chosen'} is an empty list")
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    if shared == min(len(chosen), len(rejected)):
        shared -= 1
        while shared > 0 and chosen[shared]["role"] != "assistant":
            shared -= 1
    for turn in (chosen[shared], rejected[shared]):
        if turn["role"] != "assistant":
            said = f"chosen and rejected part at turn {shared + 1}, a turn by the {turn['role']}"
            raise InvalidRow(Reason.PROMPT_MISMATCH, f"{said}; only the assistant's answers may differ")
    return Pair(chosen[:shared], chosen[shared:], rejected[shared:], faults)


def _with_calls(messages: Messages, where: str, faults: list[str] | None) -> Messages:
    """Turn the `<TOOLCALL>` text of the assistant's messages into tool calls."""
    for message in messages:
        if message["role"] == "assistant" and "tool_calls" not in message:
            try:
                text, calls = split_toolcall_text(message["content"])
            except CallFault as fault:
                malformed_call(f"{where}: {fault}", faults)
                continue
            if calls:
                message |= {"content": text, "tool_calls": calls}
    return messages


FORMATS = (  # in the order in which they are tried
    Format(
        "plain",
        "prompt, chosen, rejected as texts",
        {"prompt": (str,), "chosen": (str,), "rejected": (str,)},
        read_plain,
    ),
    Format(
        "when2call",
        "messages, chosen_response, rejected_response, tools; calls as <TOOLCALL>[…]</TOOLCALL>",
        {"messages": TURNS, "chosen_response": (*TURNS, str), "rejected_response": (*TURNS, str)},
        read_when2call,
    ),
    Format(
        "sharegpt",
        "conversations (from, value), chosen, rejected",
        {"conversations": TURNS, "chosen": (*TURNS, str), "rejected": (*TURNS, str)},
        read_sharegpt,
    ),
    Format(
        "chat",
        "prompt, chosen, rejected as chat messages",
        {"prompt": TURNS, "chosen": (*TURNS, str), "rejected": (*TURNS, str)},
        read_chat,
    ),
    Format(
        "ultrafeedback",
        "prompt as a text, chosen and rejected as chat messages or whole conversations",
        {"prompt": (str,), "chosen": TURNS, "rejected": TURNS},
        read_ultrafeedback,
    ),
    Format(
        "implicit-prompt",
        "chosen and rejected as whole conversations that share their first turns",
        {"prompt": (ABSENT,), "chosen": (list,), "rejected": (list,)},
        read_implicit_prompt,
    ),
)


def detect(row: Row) -> Format | None:
    """The first layout that a row fits."""
    return next((layout for layout in FORMATS if layout.fits(row)), None)


def nearest(row: Row, preferred: Format | None) -> Format:
    """The layout that has most of a row's field names, for a row that fits none; the preferred one where several do."""
    order = (preferred, *FORMATS) if preferred else FORMATS
    return max(order, key=lambda layout: sum(name in row for name in layout.fields))


def by_name(name: str) -> Format | None:
    return next((layout for layout in FORMATS if layout.name == name), None)
