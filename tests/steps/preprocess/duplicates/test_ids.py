"""The ids beside a report: written, read, compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.duplicates.ids import compare, read_ids, write_ids
from steps.shared.contract import StepError

NUMBERS = st.sets(st.integers(0, 30))


def as_ids(numbers) -> np.ndarray:
    text = b"".join((number * 2**90 + number).to_bytes(16, "big") for number in sorted(numbers))
    return np.frombuffer(text, ">u8").reshape(-1, 2)


def test_ids_survive_the_round_trip(tmp_path):
    assert read_ids(tmp_path) is None
    write_ids(tmp_path / "ids" / "part-00000.parquet", [as_ids([1, 2]), as_ids([]), as_ids([9])])
    write_ids(tmp_path / "ids" / "part-00001.parquet", [])
    assert read_ids(tmp_path).tolist() == as_ids([1, 2, 9]).tolist()


@given(NUMBERS, NUMBERS)
def test_a_comparison_counts_as_sets_do(own, baseline):
    assert compare(as_ids(own), as_ids(baseline)) == {
        "new": len(own - baseline),
        "kept": len(own & baseline),
        "vanished": len(baseline - own),
    }


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "ids").mkdir()
    (tmp_path / "ids" / "part-00000.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(StepError, match="these ids cannot be read"):
        read_ids(tmp_path)
