"""Which disk an error names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from steps.shared import disks


def test_a_full_disk_is_named_by_the_folder_that_was_written_to(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as raised, disks.filling(tmp_path / "out"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("a library's words") from error
    said = disks.refused(raised.value)
    assert said is not None and said.startswith(f"{tmp_path / 'out'}: the disk {disks.mount(tmp_path)} is full (")


def test_another_error_and_another_path_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionRefusedError) as refused, disks.filling(tmp_path):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert refused.value.filename is None
    with pytest.raises(OSError, match="elsewhere") as full, disks.filling(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere")
    assert full.value.filename == "/elsewhere"


def test_the_disk_of_a_path_through_a_link_is_the_one_that_the_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in ("/", str(tmp_path.resolve() / "other")))
    assert disks.mount(tmp_path / "link" / "out") == tmp_path.resolve() / "other"
