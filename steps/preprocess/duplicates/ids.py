"""The ids of the rows that stayed, beside the report: what a later run compares its own with. Parquet, sorted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steps.shared.contract import StepError

FOLDER = "ids"
ID = np.dtype(">u8")  # one half of an id; numpy's own operations tend to give back the machine's byte order
GROUP_BYTES = 2**20  # of a Parquet row group
SCHEMA = pa.schema([pa.field("id", pa.binary(16), nullable=False)])


def write_ids(path: Path, buckets: Iterable[np.ndarray]) -> None:
    """Write ids, bucket by bucket: two unsigned 64-bit numbers each, the most significant first, shape (n, 2)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SCHEMA, compression="none", use_dictionary=False) as writer:
        pending = b""
        for ids in buckets:
            pending += ids.astype(ID).tobytes()
            if len(pending) > GROUP_BYTES:
                writer.write_table(_table(pending))
                pending = b""
        writer.write_table(_table(pending))


def _table(ids: bytes) -> pa.Table:
    kind = SCHEMA.field("id").type
    column = pa.Array.from_buffers(kind, len(ids) // kind.byte_width, [None, pa.py_buffer(ids)])
    return pa.table([column], schema=SCHEMA)


def read_ids(report_folder: Path) -> np.ndarray | None:
    """The ids beside a report, in no particular order: dtype ID, shape (n, 2); None where there are none.

    Raises:
        StepError: a file there is not what `write_ids` wrote.
    """
    paths = sorted((report_folder / FOLDER).glob("*.parquet"))
    if not paths:
        return None
    return np.concatenate([read_file(path) for path in paths])


def read_file(path: Path) -> np.ndarray:
    """The ids of one file that `write_ids` wrote: dtype ID, shape (n, 2); raises as `read_ids` does."""
    try:
        column = pq.read_table(path, schema=SCHEMA).column("id").combine_chunks()
    except pa.ArrowException as error:
        raise StepError(f"{path}: these ids cannot be read ({error})") from None
    if not len(column):
        return np.zeros((0, 2), ID)
    return np.frombuffer(
        column.buffers()[1], ID, 2 * len(column), column.offset * SCHEMA.field("id").type.byte_width
    ).reshape(-1, 2)


def compare(ids: np.ndarray, baseline: np.ndarray) -> dict[str, int]:
    """How many rows are new, kept and vanished compared with the baseline.

    Args:
        ids, baseline: unsigned 64-bit, shape (n, 2) and (m, 2); no id comes twice in either.
    """
    both = np.concatenate([ids, baseline]).astype(np.uint64)
    order = np.lexsort((both[:, 1], both[:, 0]))
    both = both[order]
    kept = int(np.count_nonzero((both[1:] == both[:-1]).all(axis=1)))
    return {"new": len(ids) - kept, "kept": kept, "vanished": len(baseline) - kept}
