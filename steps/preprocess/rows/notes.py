"""What reading a row notes beside its pair: faulty calls that are kept, values that nothing reads, what was changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from steps.preprocess.rows.reasons import InvalidRow, Reason

INDEX = re.compile(r"\[\d+\]")


class Done(StrEnum):
    """What was done to a row's texts, or was seen in them and left: names under which rows are counted."""

    UNWRAPPED = "unwrapped from a chat template's text"
    CALLS_READ = "calls read from text"
    CALLS_AS_TEXT = "calls as text"
    MERGED = "turns merged"
    PROMPT_REPEATED = "prompt repeated in an answer"
    PROMPT_STRIPPED = "repeated prompt removed from an answer"


@dataclass(slots=True)
class Side:
    """The notes on the messages of one side of a pair.

    Attributes:
        faults: `malformed`, `undeclared` or `arguments` for each faulty tool call that is kept; None where such a call
            fails the row.
        unread: values that nothing reads, by their place in the row (`prompt[].weight`); one for both sides of a row.
        large: places of numbers that may have lost digits when the row was parsed; one for both sides of a row.
        tools: tools that turns declare, with their places; one for both sides of a row.
    """

    faults: list[str] | None
    unread: dict[str, Any]
    large: list[str] = field(default_factory=list)
    tools: list[tuple[str, Any]] = field(default_factory=list)

    def note_fault(self, fault: str, message: str) -> None:
        """Note a faulty call.

        Raises:
            InvalidRow: tool_call_invalid, where a faulty call fails the row.
        """
        if self.faults is None:
            raise InvalidRow(Reason.TOOL_CALL_INVALID, message)
        self.faults.append(fault)

    def note_unread(self, place: str, value: Any) -> None:
        """Note a value that nothing reads; null says nothing. The place is kept without the indexes of lists."""
        if value is not None:
            self.unread.setdefault(INDEX.sub("[]", place), value)

    def apart(self) -> Side:
        """A side that is as strict, and has no faults yet."""
        return Side(None if self.faults is None else [], self.unread, self.large, self.tools)


@dataclass(slots=True)
class Notes:
    """The notes on a row.

    Attributes:
        chosen: those of prompt and chosen.
        rejected: those of rejected, where faulty calls are legitimate negatives.
        unread: see Side.
        large: see Side.
        tools: see Side.
        done: what was done to the row, each kind once.
    """

    chosen: Side
    rejected: Side
    unread: dict[str, Any]
    large: list[str]
    done: list[Done]
    tools: list[tuple[str, Any]]

    def note_done(self, done: Done) -> None:
        if done not in self.done:
            self.done.append(done)


def new_notes(keep_faulty_calls: bool) -> Notes:
    """Notes on a row not read yet; `keep_faulty_calls` is about prompt and chosen."""
    unread: dict[str, Any] = {}
    large: list[str] = []
    tools: list[tuple[str, Any]] = []
    chosen = Side([] if keep_faulty_calls else None, unread, large, tools)
    return Notes(chosen, Side([], unread, large, tools), unread, large, [], tools)
