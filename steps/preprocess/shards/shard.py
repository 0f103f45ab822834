"""A shard, the share of the rows that becomes one file a side, and what is known of its rows once converted."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from steps.preprocess.duplicates.ids import ID
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.shards.record import ConvertedRow
from steps.preprocess.shards.tally import Tally
from steps.shared.records import OF_FEEDBACK

Side = Literal["train", "validation"]
SIDES: tuple[Side, Side] = ("train", "validation")
INDEX = np.dtype(
    [
        ("id", ID, 2),
        ("prompt_key", ID, 2),
        ("characters", "<u4", 3),  # of prompt, chosen, rejected
        ("tokens", "<u4", 3),
        ("flags", "u1"),
    ]
)
IN_VALIDATION, HAS_TOOLS, CHOSEN_CALLS, REJECTED_CALLS, FROM_FEEDBACK = 1, 2, 4, 8, 16  # flags


class RowSource(Protocol):
    """A file, or a piece of one, that gives its rows."""

    @property
    def label(self) -> str:
        """The file's name in reports."""

    def rows(self) -> Iterator[RawRow]:
        """The rows, in the file's order."""


Piece = TypeVar("Piece", covariant=True)


@dataclass(frozen=True)
class Shard(Generic[Piece]):
    """Sources that together become one file a side, each with the name of its file's layout.

    `side` is where all its rows go, for a validation set that the user brings and for the data beside it.
    """

    number: int
    sources: tuple[tuple[Piece, str | None], ...]
    side: Side | None = None


@dataclass(frozen=True)
class ConvertedShard:
    """What a shard's rows came to.

    Attributes:
        index: an entry of dtype INDEX for each row that is kept so far, in their order; shape (rows,).
        signatures: of the same rows' prompts, uint32, shape (rows, 64); None where nobody asks for near-duplicates.
    """

    number: int
    tally: Tally
    index: np.ndarray
    signatures: np.ndarray | None


class Verdicts(NamedTuple):
    """What becomes of a shard's rows, of which each has an entry in the shard's index, in the same order.

    Attributes:
        verdicts: settle.py's KEEP, DUPLICATE and so on; whole numbers, shape (rows,).
        flags: those of the index; uint8, shape (rows,).
    """

    number: int
    verdicts: np.ndarray
    flags: np.ndarray


class IndexBuilder:
    """Collects the entries of a shard's index, row by row."""

    def __init__(self) -> None:
        self._ids: list[bytes] = []
        self._keys: list[bytes] = []
        self._characters, self._tokens = array("I"), array("I")
        self._flags = bytearray()

    def add(self, row: ConvertedRow, side: Side) -> None:
        self._ids.append(row.identity)
        self._keys.append(row.prompt_key)
        self._characters.extend(row.characters)
        self._tokens.extend(row.tokens or (0, 0, 0))
        self._flags.append(
            IN_VALIDATION * (side == "validation")
            | HAS_TOOLS * row.has_tools
            | CHOSEN_CALLS * bool(row.called)
            | REJECTED_CALLS * row.rejected_calls
            | FROM_FEEDBACK * row.record.source_file.startswith(OF_FEEDBACK)
        )

    def array(self) -> np.ndarray:
        """The index: dtype INDEX, shape (rows,)."""
        index = np.zeros(len(self._ids), INDEX)
        for name, keys in (("id", self._ids), ("prompt_key", self._keys)):
            index[name] = np.frombuffer(b"".join(keys), ID).reshape(-1, 2)
        for name, lengths in (("characters", self._characters), ("tokens", self._tokens)):
            index[name] = np.array(lengths).reshape(-1, 3)
        index["flags"] = self._flags
        return index


def prompt_keys(index: np.ndarray) -> list[bytes]:
    """The 16-byte keys of the prompts in an index (dtype INDEX, shape (rows,)), in its order."""
    return np.ascontiguousarray(index["prompt_key"]).view("V16").ravel().tolist()
