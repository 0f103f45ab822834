"""The cache of reference log-probabilities: what is read is what was written, whoever wrote meanwhile."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.shared.contract import StepError
from steps.train.loop.reference_cache import Cache, row_hash
from steps.train.rows.tokenise import Pair

FACTS = {"model": {"config.json": "a"}, "bf16": True}
PAIR = Pair("row-1", [1, 2], [3, 4], [1, 0], [5], [1], "chat", False)
SUMS = st.tuples(st.floats(-1e4, 0, width=32), st.floats(-1e4, 0, width=32))
ROWS = st.dictionaries(st.binary(min_size=32, max_size=32), SUMS, min_size=1, max_size=6)


def key(number: int) -> bytes:
    return bytes([number]) * 32


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(ROWS)
def test_what_was_written_is_read_by_a_later_run(rows: dict[bytes, tuple[float, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert Cache(Path(folder), FACTS).add(rows) == rows
        assert Cache(Path(folder), FACTS).read() == rows


def test_a_key_has_its_own_files_and_only_new_rows_are_written(tmp_path: Path) -> None:
    first = Cache(tmp_path, FACTS)
    first.add({key(1): (-1.0, -2.0)})
    first.add({key(1): (-1.0, -2.0)})
    assert files(tmp_path) == [f"{first.key}-00001.safetensors"]
    size = (tmp_path / files(tmp_path)[0]).stat().st_size
    first.add({key(1): (-1.0, -2.0), key(2): (-3.0, -4.0)})
    second = tmp_path / f"{first.key}-00002.safetensors"
    assert second.stat().st_size == size
    other = Cache(tmp_path, FACTS | {"bf16": False})
    assert other.key != first.key
    assert other.read() == {}


def test_of_two_runs_at_once_the_first_value_counts_for_both_and_for_ever(tmp_path: Path) -> None:
    one, other = Cache(tmp_path, FACTS), Cache(tmp_path, FACTS)
    assert one.read() == other.read() == {}
    assert one.add({key(1): (-1.0, -1.0), key(2): (-2.0, -2.0)})[key(2)] == (-2.0, -2.0)
    theirs = {key(2): (-2.5, -2.5), key(3): (-3.0, -3.0)}
    both = {key(1): (-1.0, -1.0), key(2): (-2.0, -2.0), key(3): (-3.0, -3.0)}
    assert other.add(theirs) == {row: both[row] for row in theirs}
    assert one.read() == other.read() == Cache(tmp_path, FACTS).read() == both


def test_a_number_that_another_run_takes_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Cache(tmp_path, FACTS), Cache(tmp_path, FACTS)
    publish, late = Cache._publish, {key(1): (-1.5, -1.5), key(2): (-2.0, -2.0)}

    def after_the_other(self: Cache, number: int, values: dict[bytes, tuple[float, float]]) -> bool:
        monkeypatch.setattr(Cache, "_publish", publish)
        other.add({key(1): (-1.0, -1.0)})
        return publish(self, number, values)

    monkeypatch.setattr(Cache, "_publish", after_the_other)
    assert one.add(late) == {key(1): (-1.0, -1.0), key(2): (-2.0, -2.0)}
    assert files(tmp_path) == [f"{one.key}-0000{number}.safetensors" for number in (1, 2)]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_file_gives_its_values_or_none(data: st.DataObject) -> None:
    rows = {key(1): (-1.0, -2.0), key(2): (-3.0, -4.0)}
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder), FACTS)
        cache.add(rows)
        (file,) = Path(folder).iterdir()
        content = bytearray(file.read_bytes())
        if data.draw(st.booleans(), "torn"):
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        else:
            bit = data.draw(st.integers(0, 8 * len(content) - 1))
            content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        assert Cache(Path(folder), FACTS).read() in (rows, {})  # the description of the key is not held against it


def test_a_torn_file_is_named_once_and_its_rows_are_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {key(1): (-1.0, -2.0)}
    Cache(tmp_path, FACTS).add(rows)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    cache = Cache(tmp_path, FACTS)
    with caplog.at_level(logging.WARNING):
        assert cache.read() == {}
        assert cache.add(rows) == rows
    (message,) = caplog.messages
    assert message.startswith(f"{file} is passed over: it cannot be read (")
    assert message.endswith("; its rows are computed anew, and it can be removed")
    assert Cache(tmp_path, FACTS).read() == rows
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("name", ["prompt_ids", "chosen_ids", "chosen_mask", "rejected_ids", "rejected_mask"])
def test_a_row_is_its_tokens_and_masks(name: str) -> None:
    assert row_hash(PAIR) == row_hash(replace(PAIR, id="row-2", format="hh", with_tools=True))
    assert row_hash(PAIR) != row_hash(replace(PAIR, **{name: [*getattr(PAIR, name), 1]}))


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StepError) as caught:
        Cache(tmp_path / "file" / "cache", FACTS)
    assert str(caught.value) == (
        f"ref_log_probs_cache: {tmp_path}/file/cache: [Errno 20] Not a directory: '{tmp_path}/file/cache'; name a "
        "folder that can be read and written, on a file system with hard links"
    )
    (tmp_path / f"{Cache(tmp_path, FACTS).key}-00001.safetensors").mkdir()
    with pytest.raises(StepError, match=r"Is a directory: .*; name a folder that can be read and written"):
        Cache(tmp_path, FACTS).read()
    cache = Cache(tmp_path / "gone", FACTS)
    cache.folder.rmdir()
    with pytest.raises(StepError, match=r"No such file or directory: .*; name a folder that can be read and written"):
        cache.add({key(1): (-1.0, -1.0)})
