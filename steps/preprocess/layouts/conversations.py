"""Layouts of training tools whose rows are a conversation with the answers beside it: ms-swift's and axolotl's."""

from __future__ import annotations

from typing import Any

from steps.preprocess.rows.messages import ROLES, conversation
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Pair, Row, note_answer, split
from steps.shared.records import Messages

SPEAKER, SAID = ("sender", "speaker"), ("text", "message")  # other names of role and content


def ends_with_answer(row: Row) -> bool:
    """Whether the messages of a row end with a turn by the assistant, which is then an answer."""
    turns = row["messages"]
    last = turns[-1] if isinstance(turns, list) and turns else None
    return _role(last) == "assistant"


def _role(turn: Any) -> str | None:
    if not isinstance(turn, dict):
        return None
    given = turn.get("role", turn.get("from"))
    return ROLES.get(given.strip().lower()) if isinstance(given, str) else None


def read_swift(row: Row, notes: Notes) -> Pair:
    """The last answer against a text; against turns, all that is behind the user's last turn."""
    messages = conversation(row["messages"], "messages", notes.chosen)
    rejected = conversation(row["rejected_response"], "rejected_response", notes.rejected)
    if isinstance(row["rejected_response"], str):
        return Pair(messages[:-1], messages[-1:], rejected)
    return _behind_the_user(messages, rejected)


def read_swift_messages(row: Row, notes: Notes) -> Pair:
    """Two whole conversations; or turns that stand for all that is behind the user's last turn."""
    messages, worse = conversation(row["messages"], "messages", notes.chosen), notes.rejected.apart()
    rejected = conversation(row["rejected_messages"], "rejected_messages", worse)
    if not rejected or rejected[0]["role"] == "assistant":
        notes.rejected.faults = worse.faults
        return _behind_the_user(messages, rejected)
    pair = split(messages, rejected)
    if worse.faults:
        note_answer(row["rejected_messages"], len(pair.prompt), notes.rejected)
    return pair


def _behind_the_user(messages: Messages, rejected: Messages) -> Pair:
    asked = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1) + 1
    return Pair(messages[:asked], messages[asked:], rejected)


def has_answers_alone(row: Row) -> bool:
    """Whether chosen and rejected are answers to `messages`, and no conversations of their own."""
    answers = (row["chosen"], row["rejected"])
    firsts = [answer[0] if isinstance(answer, list) and answer else answer for answer in answers]
    return all(isinstance(first, str) or _role(_turn(first)) == "assistant" for first in firsts)


def has_parts_alone(row: Row) -> bool:
    """Whether not both answers begin with the prompt's turns, as whole conversations do."""
    firsts = [
        answer[0] if isinstance(answer, list) and answer else answer for answer in (row["chosen"], row["rejected"])
    ]
    return not all(_role(_turn(first)) in ("system", "user") for first in firsts)


def read_axolotl(row: Row, notes: Notes) -> Pair:
    return Pair(
        conversation(_turns(row["messages"]), "messages", notes.chosen),
        conversation(_turns(row["chosen"]), "chosen", notes.chosen),
        conversation(_turns(row["rejected"]), "rejected", notes.rejected),
    )


def _turns(value: Any) -> Any:
    return [_turn(turn) for turn in value] if isinstance(value, list) else _turn(value)


def _turn(turn: Any) -> Any:
    """A turn whose speaker and text go by other names, under those that all messages have."""
    if not isinstance(turn, dict) or "role" in turn or "from" in turn:
        return turn
    names = {name: own for known, own in ((SPEAKER, "role"), (SAID, "content")) for name in known if name in turn}
    return {names.get(name, name): value for name, value in turn.items()}
