"""What reading a row notes beside its pair: faulty tool calls that are kept, and values that nothing reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steps.preprocess.rows.reasons import InvalidRow, Reason


@dataclass
class Side:
    """The notes on the messages of one side of a pair.

    Attributes:
        faults: `malformed`, `undeclared` or `arguments` for each faulty tool call that is kept; None where such a call
            fails the row.
        unread: values that nothing reads, by their place in the row (`prompt[].weight`); one for both sides of a row.
    """

    faults: list[str] | None
    unread: dict[str, Any]

    def note_fault(self, fault: str, message: str) -> None:
        """Note a faulty call.

        Raises:
            InvalidRow: tool_call_invalid, where a faulty call fails the row.
        """
        if self.faults is None:
            raise InvalidRow(Reason.TOOL_CALL_INVALID, message)
        self.faults.append(fault)

    def apart(self) -> Side:
        """A side that is as strict, and has no faults yet."""
        return Side(None if self.faults is None else [], self.unread)


@dataclass
class Notes:
    """The notes on a row.

    Attributes:
        chosen: those of prompt and chosen.
        rejected: those of rejected, where faulty calls are legitimate negatives.
    """

    chosen: Side
    rejected: Side
    unread: dict[str, Any]


def new_notes(keep_faulty_calls: bool) -> Notes:
    """Notes on a row not read yet; `keep_faulty_calls` is about prompt and chosen."""
    unread: dict[str, Any] = {}
    return Notes(Side([] if keep_faulty_calls else None, unread), Side([], unread), unread)
