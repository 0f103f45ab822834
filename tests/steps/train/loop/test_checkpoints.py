"""A run continues from the newest whole checkpoint of its own, and from nothing else; what is whole is not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.loop.checkpoints import (
    MARKER,
    STAGING,
    Checkpoint,
    Marker,
    World,
    clear_staging,
    fingerprint,
    newest,
    outdated,
    publish,
    remove,
)

WORLD = World(2, 8)


def checkpoint(folder: Path, step: int, run: str = "mine", whole: bool = True, best: int | None = None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    (path / "optimizer.bin").write_bytes(b"moments")
    if whole:
        Marker(run, WORLD, {"step": step} | ({"best": {"step": best}} if best else {})).write(path)
    return path


def found(path: Path) -> Checkpoint:
    """What is read of a whole checkpoint."""
    files = {name.name: contract.sha256(name) for name in path.iterdir()}
    return Checkpoint(path, WORLD, {"step": int(path.name.removeprefix("checkpoint-"))}, files)


def taken(folder: Path) -> str | None:
    """The name of the checkpoint that the run `mine` continues from."""
    checkpoint = newest(folder, "mine")
    return checkpoint.path.name if checkpoint else None


def test_the_newest_is_taken_by_number_and_not_by_name(tmp_path: Path) -> None:
    checkpoint(tmp_path, 90)
    ten = checkpoint(tmp_path, 100)
    assert newest(tmp_path, "mine") == found(ten)


def test_without_checkpoints_the_run_starts_anew(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent", "mine") is None
    assert newest(tmp_path, "mine") is None


def test_a_torn_foreign_or_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path, caplog) -> None:
    good = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, whole=False)
    checkpoint(tmp_path, 30, run="another")
    (checkpoint(tmp_path, 40) / "adapter_model.safetensors").write_bytes(b"w3ights")  # of the same size
    (checkpoint(tmp_path, 50) / "optimizer.bin").unlink()
    (checkpoint(tmp_path, 60) / MARKER).write_text('{"fingerprint": "mine"')
    assert newest(tmp_path, "mine") == found(good)
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint-60 is passed over: it is not whole (complete.json is missing or damaged)",
        "checkpoint-50 is passed over: optimizer.bin is missing",
        "checkpoint-40 is passed over: adapter_model.safetensors is damaged: it has not the bytes that were written",
        "checkpoint-30 is passed over: it belongs to a run with other data, model or arguments",
        "checkpoint-20 is passed over: it is not whole (complete.json is missing or damaged)",
    ]


def test_the_files_that_sagemaker_puts_beside_those_it_copies_to_s3_are_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 10, whole=False)
    (path / "optimizer.bin.sagemaker-uploading").touch()
    (path / "adapter_model.safetensors.sagemaker-uploaded").touch()
    Marker("mine", WORLD, {"step": 10}).write(path)
    for copied in path.glob("*.sagemaker-*"):
        copied.unlink()  # they are not in S3, from which the next start gets the checkpoint
    assert newest(tmp_path, "mine") == found(path)


def test_a_run_does_not_continue_where_its_best_checkpoint_is_lost(tmp_path: Path, caplog) -> None:
    checkpoint(tmp_path, 10, best=10)
    checkpoint(tmp_path, 20, best=10)
    second = checkpoint(tmp_path, 30, best=30)
    checkpoint(tmp_path, 40, best=30)
    assert taken(tmp_path) == "checkpoint-40"
    (second / "optimizer.bin").unlink()
    assert taken(tmp_path) == "checkpoint-20"
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint-40 is passed over: its best one, checkpoint-30, cannot be used: optimizer.bin is missing",
        "checkpoint-30 is passed over: optimizer.bin is missing",
    ]


def test_old_ones_are_removed_but_for_the_best_and_those_of_other_runs(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 15, run="another")
    checkpoint(tmp_path, 35, whole=False)
    remove(tmp_path, outdated(tmp_path, "mine", keep=2, best=10))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-10", "checkpoint-15", "checkpoint-30", "checkpoint-40",
    ]  # fmt: skip


def test_a_new_one_takes_the_place_of_one_that_was_passed_over(tmp_path: Path) -> None:
    (checkpoint(tmp_path, 10) / "optimizer.bin").write_bytes(b"damage")
    staged = checkpoint(tmp_path / "beside", 10)
    publish(staged, tmp_path / "checkpoint-10")
    assert newest(tmp_path, "mine") == found(tmp_path / "checkpoint-10")
    assert not staged.exists()


def test_another_number_of_processes_makes_the_same_batches_or_is_refused() -> None:
    assert World(4, 2).of(8) == World(8, 1)
    assert World(4, 2).of(1) == World(1, 8)
    with pytest.raises(StepError, match=r"3 processes cannot make the same batches: use 1, 2, 4, 8 processes"):
        World(4, 2).of(3)


def test_the_fingerprint_follows_values_and_not_their_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "3", '"x"', "{}", "[" * 100_000, '{"sha256": 3}', '{"fingerprint": "mine", "files": []}'],
)
def test_a_marker_of_another_form_is_passed_over_with_a_line(tmp_path: Path, caplog, text: str) -> None:
    good = checkpoint(tmp_path, 10)
    (checkpoint(tmp_path, 20) / MARKER).write_text(text)
    assert newest(tmp_path, "mine") == found(good)
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint-20 is passed over: it is not whole (complete.json is missing or damaged)"
    ]
    assert outdated(tmp_path, "mine", keep=1, best=None) == ["checkpoint-20"]


def test_no_flipped_bit_of_a_marker_changes_what_a_run_continues_with(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 10)
    whole = newest(tmp_path, "mine")
    assert whole is not None
    written = (path / MARKER).read_bytes()
    for bit in range(0, 8 * len(written), 7):
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        (path / MARKER).write_bytes(changed)
        taken = newest(tmp_path, "mine")
        assert taken is None or (taken.world, taken.facts) == (whole.world, whole.facts)  # white space tells nothing


def test_an_edited_accumulation_is_no_checkpoint(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 10) / MARKER
    path.write_text(path.read_text().replace('"accumulation": 8', '"accumulation": 4'))
    assert newest(tmp_path, "mine") is None


def test_what_an_earlier_start_did_not_finish_is_removed_counted_and_told(tmp_path: Path, caplog) -> None:
    clear_staging(tmp_path / "absent")
    (tmp_path / STAGING).mkdir()
    clear_staging(tmp_path)  # empty: nothing to tell
    assert not (tmp_path / STAGING).exists() and caplog.records == []
    good = checkpoint(tmp_path, 10)
    for step in (20, 30):
        checkpoint(tmp_path / STAGING, step, whole=False)
    clear_staging(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"2 unfinished of an earlier start removed from {tmp_path / STAGING}: checkpoint-20, checkpoint-30"
    ]
    assert [path.name for path in tmp_path.iterdir()] == [good.name]
