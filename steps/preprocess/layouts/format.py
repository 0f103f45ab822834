"""What a layout is: how its rows are recognised, which of their fields it reads, and how it says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from steps.preprocess.layouts.ranked import Answer
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason


def own_tools(row: Row) -> Any:
    return row.get("tools")


def own_system(row: Row) -> Any:
    return row.get("system")


@dataclass(frozen=True)
class Format:
    """A layout: a row fits it when each field has one of its types.

    Attributes:
        read: a row's prompt and answers; raises InvalidRow.
        tools: what a row declares, raw; may raise InvalidRow.
        system: the system's text where it has a field of its own; may raise InvalidRow.
        reads: fields that it reads beside `fields`, tools and system.
        listed: for a layout of many answers: these, with their scores; notes what nothing reads in there. `read` then
            gets the row with two of them as `chosen` and `rejected`. May raise InvalidRow.
        opens: for a layout that wraps others: the layout that a row has inside, and the row as that one reads it.
        may_be: what a row with these types must show besides, for a file that is known to have this layout.
        is_sure: what tells such a row from those of other layouts, for a file that is not known.
    """

    name: str
    description: str
    fields: Mapping[str, tuple[type, ...]]
    read: Callable[[Row, Notes], Pair]
    tools: Callable[[Row], Any] = own_tools
    system: Callable[[Row], Any] = own_system
    reads: tuple[str, ...] = ()
    listed: Callable[[Row, dict[str, Any]], list[Answer]] | None = None
    opens: Callable[[Row], tuple[Format, Row]] | None = None
    may_be: Callable[[Row], bool] | None = None
    is_sure: Callable[[Row], bool] | None = None

    @property
    def is_told_by_types(self) -> bool:
        """Whether the types of a row's fields say all of how it is read."""
        return self.may_be is None and self.opens is None and self.listed is None

    def opened(self, row: Row) -> tuple[Format, Row]:
        """The layout that reads the row in the end, and the row as it does; raises InvalidRow."""
        return self.opens(row) if self.opens else (self, row)

    def fits(self, row: Row) -> bool:
        """Whether the row is one that this layout reads, or says what is wrong with."""
        for name, types in self.fields.items():
            if not isinstance(row.get(name), types):
                return False
        return self.may_be is None or self.may_be(row)

    def recognises(self, row: Row) -> bool:
        """Whether a row of which nothing is known has this layout."""
        return self.fits(row) and (self.is_sure is None or self.is_sure(row))

    def explain(self, row: Row) -> InvalidRow:
        """Why a row does not fit, by the first field that does not."""
        for name, types in self.fields.items():
            value = row.get(name)
            if isinstance(value, types):
                continue
            if name not in row:
                has = ", ".join(row) or "nothing"
                return InvalidRow(Reason.MISSING_FIELD, f"{name} is missing ({self.name} layout); the row has: {has}")
            if value is None and name in ("prompt", "messages", "conversations", "input"):
                return InvalidRow(Reason.EMPTY_PROMPT, f"{name} is null")
            if value is None:
                return InvalidRow(Reason.EMPTY_RESPONSE, f"{name} is null")
            return InvalidRow(Reason.WRONG_TYPE, f"{name} is {kind(value)}, which the {self.name} layout does not have")
        return InvalidRow(Reason.WRONG_TYPE, f"the row does not have the {self.name} layout: {self.description}")
