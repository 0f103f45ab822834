"""What a layout reads from a row, and how whole conversations are split into prompt and answers.

Knows no layout (`layouts/formats.py` does), and judges no message (`messages.py` does).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.turn_order import is_joined
from steps.shared.records import Messages

Row = dict[str, Any]
TURNS = (list, dict)  # what a conversation is, or a turn of it


class Pair(NamedTuple):
    """One preference: the prompt, and the messages of the better and of the worse answer."""

    prompt: Messages
    chosen: Messages
    rejected: Messages


def note_answer(given: Any, shared: int, side: Side) -> None:
    """Note the malformed calls of an answer that is given with the prompt's messages before its own: those are noted.

    Args:
        shared: how many messages are the prompt's; a turn may be several.
    """
    if side.faults is None:
        return
    turns = given if isinstance(given, list) else [given]
    before = place = 0
    while place < len(turns) and before < shared:
        if not is_joined(turns[place], before):
            before += len(conversation(turns[place : place + 1], "answer", Side([], {})))
        place += 1
    conversation(turns[place:], "answer", Side(side.faults, {}))  # what it leaves unread is noted already


def split(chosen: Messages, rejected: Messages) -> Pair:
    """Split two whole conversations where they part, but not later than the last turn that leaves each an answer.

    One conversation may be the beginning of the other: its last turn is then its answer, and not part of the prompt.

    Raises:
        InvalidRow: empty_response, or prompt_mismatch where they part elsewhere than in the assistant's last answer.
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
    pair = Pair(chosen[:shared], chosen[shared:], rejected[shared:])
    for answer in pair[1:]:
        said = f"chosen and rejected part at turn {shared + 1}"
        if answer[0]["role"] != "assistant":
            said = f"{said}, a turn by the {answer[0]['role']}; only the assistant's answers may differ"
            raise InvalidRow(Reason.PROMPT_MISMATCH, said)
        if any(turn["role"] == "user" for turn in answer):
            said = f"{said}, and the user speaks after it; only the last answers may differ"
            raise InvalidRow(Reason.PROMPT_MISMATCH, said)
    return pair
