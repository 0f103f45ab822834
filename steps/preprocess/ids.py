"""The ids of the rows that stayed, beside the report: what a later run compares its own with. Parquet, sorted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steps.contract import StepError

FOLDER = "ids"
ID = np.dtype(">u8")  # one half of an id; numpy's own operations tend to give back the machine's byte order
SCHEMA = pa.schema([pa.field("id", pa.binary(16), nullable=False)])


def write_ids(path: Path, buckets: Iterable[np.ndarray]) -> None:
    """Write ids, given bucket by bucket as rows of two 64-bit numbers, most significant first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SCHEMA, compression="none", use_dictionary=False) as writer:
        for ids in buckets:
            if len(ids):
                values = pa.Array.from_buffers(
                    SCHEMA.field("id").type, len(ids), [None, pa.py_buffer(ids.astype(ID).tobytes())]
                )
                writer.write_table(pa.table([values], schema=SCHEMA))


def read_ids(report_folder: Path) -> np.ndarray | None:
    """The ids beside a report, in no particular order; None where there are none.

    Raises:
        StepError: a file there is not what `write_ids` wrote.
    """
    paths = sorted((report_folder / FOLDER).glob("*.parquet"))
    if not paths:
        return None
    try:
        columns = [pq.read_table(path, schema=SCHEMA).column("id").combine_chunks() for path in paths]
    except pa.ArrowException as error:
        raise StepError(f"{report_folder / FOLDER}: these ids cannot be read ({error})") from None
    return np.frombuffer(b"".join(id for column in columns for id in column.to_pylist()), ID).reshape(-1, 2)


def compare(ids: np.ndarray, baseline: np.ndarray) -> dict[str, int]:
    """How many rows are new, kept and vanished against the baseline; no id comes twice in either."""
    both = np.concatenate([ids, baseline]).astype(np.uint64)
    order = np.lexsort((both[:, 1], both[:, 0]))
    both = both[order]
    kept = int(np.count_nonzero((both[1:] == both[:-1]).all(axis=1)))
    return {"new": len(ids) - kept, "kept": kept, "vanished": len(baseline) - kept}
