"""Read back what W&B wrote offline: a `.wandb` file is a LevelDB log of protocol buffers behind a header of 7 bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

HEADER, BLOCK, RECORD = 7, 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # a record whole in its block, or a part of one that spans blocks


def records(path: Path) -> list[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, found, parts = path.read_bytes(), HEADER, [], b""
    while position + RECORD <= len(data):
        if (left := BLOCK - position % BLOCK) < RECORD:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        position += RECORD
        parts = data[position : position + length] if kind in (FULL, FIRST) else parts + data[position:][:length]
        position += length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            found.append(record)
    return found


def run_id(path: Path) -> str:
    return next(record.run.run_id for record in records(path) if record.WhichOneof("record_type") == "run")


def config(path: Path) -> dict[str, Any]:
    """The run's parameters."""
    updates = [record.config.update for record in records(path) if record.WhichOneof("record_type") == "config"]
    return {item.key or item.nested_key[0]: json.loads(item.value_json) for update in updates for item in update}


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, an entry each."""
    rows = [record.history.item for record in records(path) if record.WhichOneof("record_type") == "history"]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]
