"""A run continues from the newest whole checkpoint of its own, and from nothing else."""

from __future__ import annotations

from pathlib import Path

from steps.train.checkpoints import Marker, fingerprint, newest


def checkpoint(folder: Path, step: int, run: str = "mine", whole: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    if whole:
        Marker(run, {"step": step}).write(path)
    return path


def test_the_newest_is_taken_by_number_and_not_by_name(tmp_path: Path) -> None:
    checkpoint(tmp_path, 90)
    ten = checkpoint(tmp_path, 100)
    assert newest(tmp_path, "mine") == (ten, {"step": 100})


def test_without_checkpoints_the_run_starts_anew(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent", "mine") is None
    assert newest(tmp_path, "mine") is None


def test_a_torn_foreign_or_cut_checkpoint_is_passed_over_and_named(tmp_path: Path, caplog) -> None:
    good = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, whole=False)
    checkpoint(tmp_path, 30, run="another")
    (checkpoint(tmp_path, 40) / "adapter_model.safetensors").write_bytes(b"w")
    assert newest(tmp_path, "mine") == (good, {"step": 10})
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint-40 is passed over: files are missing or cut short",
        "checkpoint-30 is passed over: it belongs to a run with other data, model or arguments",
        "checkpoint-20 is passed over: it is not whole (its marker is missing)",
    ]


def test_the_fingerprint_follows_values_and_not_their_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
