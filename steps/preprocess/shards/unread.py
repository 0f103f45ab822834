"""Which values of the rows nothing read, by their place: how many rows of each file have one, and an example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steps.preprocess.rows.json_values import kind

PLACES = 200  # kept of a file: those that come first in the alphabet, so that it does not matter who counted what
PLACE_CHARACTERS = 100
EXAMPLE_CHARACTERS = 60


@dataclass
class UnreadPlaces:
    """Mergeable counts of one file. Rows may be named by any number of different keys: a limit holds.

    Attributes:
        places: how many rows have a value there, and one of the values as JSON, cut: `[rows, example]`.
        more: whether there were more places than are kept.
    """

    places: dict[str, list[Any]] = field(default_factory=dict)
    more: bool = False

    def count(self, values: Mapping[str, Any]) -> None:
        """Count one row's values by their place."""
        places, new = self.places, False
        for place, value in values.items():
            found = places.get(place)
            if found is None:
                found = places.setdefault(cut(place, PLACE_CHARACTERS), [0, _example(value)])
                new = True
            found[0] += 1
        if new:
            self._shorten()

    def merge(self, later: UnreadPlaces) -> None:
        """Add the counts of rows that come later in the data."""
        for place, (rows, example) in later.places.items():
            found = self.places.setdefault(place, [0, example])
            found[0] += rows
        self.more |= later.more
        self._shorten()

    def _shorten(self) -> None:
        if len(self.places) > PLACES:
            self.more = True
            self.places = {place: self.places[place] for place in sorted(self.places)[:PLACES]}

    def as_json(self) -> dict[str, Any]:
        """The places, those of most rows first."""
        ranked = sorted(self.places.items(), key=lambda item: (-item[1][0], item[0]))
        return {place: {"rows": rows, "example": example} for place, (rows, example) in ranked}


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _example(value: Any) -> str:
    """A value as JSON, cut; one that is nested too deep to be written, in words."""
    if isinstance(value, str):
        value = cut(value, EXAMPLE_CHARACTERS)
    try:
        return cut(json.dumps(value, ensure_ascii=False), EXAMPLE_CHARACTERS)
    except RecursionError:
        return kind(value)
