"""A share of the rows, worked on by one process: converted, split, written, and indexed for what needs all rows.

Both engines (this machine's processes, and Spark) call the same two functions: `convert_shard`, and, once it is known
which of its rows are not to stay, `write_parts`, in the same process: the rows wait there in memory. What a shard
writes depends on its rows alone, and on these verdicts: not on how often it was written before.
"""

from __future__ import annotations

import contextlib
import gc
from array import array
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from steps.preprocess.duplicates.ids import ID
from steps.preprocess.duplicates.near import signature
from steps.preprocess.duplicates.settle import CONTRADICTORY, DUPLICATE, KEEP, NEAR_DUPLICATE
from steps.preprocess.layouts.formats import by_name
from steps.preprocess.read.sources import RawRow, Source
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Converted, Layout, convert, validation_limit
from steps.preprocess.shards.tally import Tally
from steps.preprocess.shards.tokens import token_counter
from steps.shared.records import Record, RecordGroups, part_name, read_groups, write_part

SIDES = ("train", "validation")
QUARANTINE = "quarantine"
INDEX = np.dtype(
    [
        ("id", ID, 2),
        ("prompt_key", ID, 2),
        ("characters", "<u4", 3),  # of prompt, chosen, rejected
        ("tokens", "<u4", 3),
        ("flags", "u1"),
    ]
)
IN_VALIDATION, HAS_TOOLS, CHOSEN_CALLS, REJECTED_CALLS = 1, 2, 4, 8  # flags
DROPPED = {
    CONTRADICTORY: InvalidRow(
        Reason.CONTRADICTORY, "the same pair also stands in the data with the preference reversed"
    ),
    NEAR_DUPLICATE: InvalidRow(Reason.NEAR_DUPLICATE, "its prompt is nearly the same as one that came earlier"),
}


# Gives back at once what is freed, where the default keeps tens of megabytes a process.
pa.set_memory_pool(pa.system_memory_pool())
# The rows of the shards that this process has converted and not written yet: by a shard's folder and number, by side.
_held: dict[tuple[Path, int], dict[str, list[pa.Table]]] = {}


@dataclass(frozen=True)
class Shard:
    """Sources that together become one file a side, each with the name of its file's layout.

    `side` is where all its rows go, for a validation set that the user brings and for the data beside it.
    """

    number: int
    sources: tuple[tuple[Source, str | None], ...]
    side: Literal["train", "validation"] | None = None


class Sorted(NamedTuple):
    """What a shard's rows came to. The index has an entry for each row that is kept so far, in their order."""

    number: int
    tally: Tally
    index: np.ndarray
    signatures: np.ndarray | None


def convert_shard(shard: Shard, rules: Rules, held_out: Set[bytes], folder: Path | None) -> Sorted:
    """Convert the shard's rows; with `folder`, write its quarantine there, and hold its rows for `write_parts`.

    Args:
        held_out: keys of the prompts of a validation set that the user brings; rows with one of them are left out.
    """
    tally, index, signatures = Tally(), _Index(), []
    seen: set[bytes] = set()
    groups = {side: RecordGroups() for side in SIDES}
    count_tokens = token_counter(rules.tokenizer) if rules.tokenizer else None
    limit = validation_limit(rules.validation_fraction or 0)
    gc.disable()  # rows make no reference cycles, and there are many objects to look through in vain
    try:
        with _Quarantine(folder, shard.number) as quarantine:
            for raw, layout in _rows(shard, rules, tally):
                try:
                    row = convert(raw, layout, rules, count_tokens)
                    if row.prompt_key in held_out:
                        raise InvalidRow(Reason.LEAKED, "its prompt also stands in the validation set")
                except InvalidRow as reason:
                    quarantine.add(tally.count_quarantined(raw, reason))
                    continue
                tally.count_converted(row)
                if row.identity in seen:
                    tally.duplicate += 1
                    continue
                seen.add(row.identity)
                tally.kept += 1
                side = shard.side or SIDES[row.prompt_key < limit]
                index.add(row, side)
                if rules.near_duplicates:
                    signatures.append(signature("\n".join(message["content"] for message in row.prompt)))
                if folder:
                    groups[side].add(row.record)
    finally:
        gc.enable()
    if folder:
        _held[folder, shard.number] = {side: groups[side].tables() for side in SIDES}
    return Sorted(shard.number, tally, index.array(), np.stack(signatures) if signatures else None)


def _rows(shard: Shard, rules: Rules, tally: Tally) -> Iterator[tuple[RawRow, Layout]]:
    for source, name in shard.sources:
        layout = Layout(by_name(name) if name else None, strict=rules.format is not None)
        read = 0
        for raw in source.rows():
            read += 1
            yield raw, layout
        tally.count_read(source.label, read)


class _Index:
    def __init__(self) -> None:
        self._ids: list[bytes] = []
        self._keys: list[bytes] = []
        self._characters, self._tokens = array("I"), array("I")
        self._flags = bytearray()

    def add(self, row: Converted, side: str) -> None:
        self._ids.append(row.identity)
        self._keys.append(row.prompt_key)
        self._characters.extend(row.characters)
        self._tokens.extend(row.tokens or (0, 0, 0))
        self._flags.append(
            IN_VALIDATION * (side == "validation")
            | HAS_TOOLS * row.has_tools
            | CHOSEN_CALLS * bool(row.called)
            | REJECTED_CALLS * row.rejected_calls
        )

    def array(self) -> np.ndarray:
        index = np.zeros(len(self._ids), INDEX)
        for name, keys in (("id", self._ids), ("prompt_key", self._keys)):
            index[name] = np.frombuffer(b"".join(keys), ID).reshape(-1, 2)
        for name, lengths in (("characters", self._characters), ("tokens", self._tokens)):
            index[name] = np.array(lengths).reshape(-1, 3)
        index["flags"] = self._flags
        return index


def prompt_keys(index: np.ndarray) -> list[bytes]:
    """The keys of an index's prompts, in its order."""
    return np.ascontiguousarray(index["prompt_key"]).view("V16").ravel().tolist()


class _Quarantine(contextlib.ExitStack):
    """The file of a shard's quarantined rows, from its first one on; none without a folder."""

    def __init__(self, folder: Path | None, number: int) -> None:
        super().__init__()
        self._folder, self._number = folder, number
        self._file: BinaryIO | None = None

    def add(self, entry: Mapping[str, object]) -> None:
        if self._folder is None:
            return
        if self._file is None:
            self._file = self.enter_context(open_quarantine(self._folder, self._number))
        self._file.write(orjson.dumps(entry) + b"\n")


def open_quarantine(folder: Path, number: int, of_dropped: bool = False) -> BinaryIO:
    """A shard's file of quarantined rows; those that the other rows condemned have one of their own."""
    path = folder / QUARANTINE / f"part-{number:05d}{'-dropped' if of_dropped else ''}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "wb")


class Verdicts(NamedTuple):
    """What becomes of a shard's rows: a verdict for each entry of its index (see settle.py), and its flags."""

    number: int
    verdicts: np.ndarray
    flags: np.ndarray


def write_parts(judged: Verdicts, folder: Path) -> Tally:
    """Write the shard's part of both sides below `folder`, for the first time or again, without some of its rows.

    Returns what that changes in the counts.

    What stands in quarantine of rows that are not kept is the record as it was converted, which is the `chat` layout:
    the row itself has gone by.
    """
    number, verdicts, flags = judged
    tally = Tally(kept=-int(np.count_nonzero(verdicts)))
    held = _held.pop((folder, number), None)
    condemned: list[tuple[int, Record, int]] = []
    for flag, side in enumerate(SIDES):
        places = np.flatnonzero((flags & IN_VALIDATION) == flag * IN_VALIDATION)
        if not len(places):
            continue
        part = folder / side / part_name(number)
        records = write_part(part, held[side] if held else read_groups(part), verdicts[places] == KEEP)
        out = places[verdicts[places] != KEEP]
        condemned += zip(out.tolist(), records, verdicts[out].tolist(), strict=True)
    condemned.sort(key=lambda entry: entry[0])
    tally.duplicate = sum(verdict == DUPLICATE for _, _, verdict in condemned)
    quarantined = [(record, DROPPED[verdict]) for _, record, verdict in condemned if verdict != DUPLICATE]
    if quarantined:
        with open_quarantine(folder, number, of_dropped=True) as file:
            for record, reason in quarantined:
                fields = {name: getattr(record, name) for name in ("prompt", "chosen", "rejected", "tools")}
                raw = RawRow(record.source_file, record.source_line, orjson.dumps(fields))
                file.write(orjson.dumps(tally.count_quarantined(raw, reason)) + b"\n")
    return tally
