"""What one process does with a shard: convert its rows, split them, index them, and write those that stay.

Both engines (this machine's processes, and Spark) do this: `convert`, and, once it is known which rows are not to stay,
`write`, on the same worker: the rows wait there in memory. What a shard writes depends on its rows alone, and on these
verdicts: not on how often it was written before.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson
import pyarrow as pa

from steps.preprocess.duplicates.near import signature
from steps.preprocess.duplicates.settle import CONTRADICTORY, DUPLICATE, KEEP, NEAR_DUPLICATE
from steps.preprocess.layouts.formats import by_name
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tools import ToolReader
from steps.preprocess.shards.convert import Layout, convert_all
from steps.preprocess.shards.parse import parsed
from steps.preprocess.shards.prompt_keys import validation_limit
from steps.preprocess.shards.record import ConvertedRow, CountTokens, Recorder
from steps.preprocess.shards.shard import (
    IN_VALIDATION,
    SIDES,
    ConvertedShard,
    IndexBuilder,
    RowSource,
    Shard,
    Side,
    Verdicts,
)
from steps.preprocess.shards.tally import Tally
from steps.preprocess.shards.tokens import token_counter
from steps.shared.records import ARGUMENTS, Record, RecordGroups, part_name, read_groups, write_part

QUARANTINE = "quarantine"
DROPPED = {
    CONTRADICTORY: InvalidRow(
        Reason.CONTRADICTORY, "the same pair also stands in the data with the preference reversed"
    ),
    NEAR_DUPLICATE: InvalidRow(Reason.NEAR_DUPLICATE, "its prompt is nearly the same as one that came earlier"),
}


def return_freed_memory() -> None:
    """Let Arrow, in this process, give back at once what it frees; its default pool keeps tens of megabytes."""
    pa.set_memory_pool(pa.system_memory_pool())


def start_worker(rules: Rules, folder: Path | None) -> ShardWorker:
    """Set this process up for shards, and make its worker."""
    return_freed_memory()
    return ShardWorker(rules, folder)


class ShardWorker:
    """Converts and writes shards, one after the other, in one process.

    Args:
        folder: the parts are written below it; without one, rows are only converted and indexed.
    """

    def __init__(self, rules: Rules, folder: Path | None) -> None:
        self._rules, self._folder = rules, folder
        self._tools = ToolReader()
        # The rows of the shards that are converted and not written yet: by a shard's number, by side.
        self._waiting: dict[int, dict[Side, list[pa.Table]]] = {}

    def convert(self, shard: Shard[RowSource], held_out: Set[bytes]) -> ConvertedShard:
        """Convert a shard's rows; with a folder, write its quarantine there, and keep its rows for `write`.

        Args:
            held_out: keys of the prompts of a validation set that the user brings; rows with one of them are left out.
        """
        tally, index, signatures = Tally(), IndexBuilder(), []
        groups = {side: RecordGroups() for side in SIDES}
        limit = validation_limit(self._rules.validation_fraction or 0)
        folder = self._rules.tokenizer
        count_tokens = token_counter(folder, self._rules.chat_template_kwargs) if folder else None
        with _without_garbage_collection(), _Quarantine(self._folder, shard.number) as quarantine:
            for row in self._kept(shard, held_out, count_tokens, tally, quarantine):
                side = shard.side or SIDES[row.prompt_key < limit]
                index.add(row, side)
                if self._rules.near_duplicates:
                    signatures.append(signature("\n".join(message["content"] for message in row.prompt)))
                if self._folder:
                    groups[side].add(row.record)
        if self._folder:
            self._waiting[shard.number] = {side: groups[side].tables() for side in SIDES}
        return ConvertedShard(shard.number, tally, index.array(), np.stack(signatures) if signatures else None)

    def _kept(
        self,
        shard: Shard[RowSource],
        held_out: Set[bytes],
        count_tokens: CountTokens | None,
        tally: Tally,
        quarantine: _Quarantine,
    ) -> Iterator[ConvertedRow]:
        """The sound rows, each once; all rows are counted, and the others quarantined."""
        seen: set[bytes] = set()
        recorder = Recorder(self._rules, self._tools.declare, count_tokens)
        for raw, row, layout in _rows(shard, self._rules, tally):
            try:
                converted = convert_all(raw, row, layout, recorder)
            except Exception as error:  # a fault of this code: where to look for it
                error.add_note(f"while {raw.file}:{raw.line} was read")
                raise
            if converted.ties is not None:
                tally.count_list(raw.file, converted)
            for found in converted.rows:
                if not isinstance(found, InvalidRow) and found.prompt_key in held_out:
                    found = InvalidRow(Reason.LEAKED, "its prompt also stands in the validation set")
                if isinstance(found, InvalidRow):
                    quarantine.add(tally.count_quarantined(raw, found))
                    continue
                tally.count_converted(found)
                if found.identity in seen:
                    tally.duplicate += 1
                    continue
                seen.add(found.identity)
                tally.kept += 1
                yield found

    def write(self, judged: Verdicts) -> Tally:
        """Write the shard's part of both sides, for the first time or again, without some of its rows.

        Returns what that changes in the counts.

        What stands in quarantine of rows that are not kept is the record as it was converted, which is the `chat`
        layout: the row itself has gone by.
        """
        if self._folder is None:
            raise RuntimeError("a worker without a folder cannot write")
        number, verdicts, flags = judged
        tally = Tally(kept=-int(np.count_nonzero(verdicts)))
        waiting = self._waiting.pop(number, None)
        condemned: list[tuple[int, Record, int]] = []
        for flag, side in enumerate(SIDES):
            places = np.flatnonzero((flags & IN_VALIDATION) == flag * IN_VALIDATION)
            if not len(places):
                continue
            part = self._folder / side / part_name(number)
            records = write_part(part, waiting[side] if waiting else read_groups(part), verdicts[places] == KEEP)
            out = places[verdicts[places] != KEEP]
            condemned += zip(out.tolist(), records, verdicts[out].tolist(), strict=True)
        condemned.sort(key=lambda entry: entry[0])
        tally.duplicate = sum(verdict == DUPLICATE for _, _, verdict in condemned)
        quarantined = [(record, DROPPED[verdict]) for _, record, verdict in condemned if verdict != DUPLICATE]
        if quarantined:
            with open_quarantine(self._folder, number, of_dropped=True) as file:
                for record, reason in quarantined:
                    file.write(orjson.dumps(tally.count_quarantined(_as_row(record), reason)) + b"\n")
        return tally


def _rows(shard: Shard[RowSource], rules: Rules, tally: Tally) -> Iterator[tuple[RawRow, Row | InvalidRow, Layout]]:
    for source, name in shard.sources:
        layout = Layout(by_name(name) if name else None, strict=rules.format is not None)
        read = 0
        for raw, row in parsed(source.rows()):
            read += 1
            yield raw, row, layout
        tally.count_read(source.label, read)


def _as_row(record: Record) -> RawRow:
    fields = {name: getattr(record, name) for name in ("prompt", "chosen", "rejected", "tools")}
    if record.chat_template_kwargs:
        fields[ARGUMENTS] = record.chat_template_kwargs
    return RawRow(record.source_file, record.source_line, orjson.dumps(fields))


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Rows make no reference cycles, and there are many objects to look through in vain."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
