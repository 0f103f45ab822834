"""Folders: read whole or not at all, by one rule for links; written by one process at a time."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.shared.folders import sole_writer, walk


def names(folder: Path) -> list[str]:
    return [(here / name).relative_to(folder).as_posix() for here, files in walk(folder) for name in files]


def test_links_are_followed_and_each_real_folder_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "b").touch()
    (tmp_path / "elsewhere" / "deep" / "up").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").touch()
    for link in ("one", "two"):
        (tmp_path / "data" / link).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "up").symlink_to(tmp_path / "data")
    assert names(tmp_path / "data") == ["a", "one/deep/b"]


def test_a_folder_has_its_own_name_before_that_of_a_link(tmp_path: Path) -> None:
    for root in ("data", "elsewhere"):
        (tmp_path / root / "v1" / "deep").mkdir(parents=True)
        (tmp_path / root / "v1" / "deep" / "a").touch()
        (tmp_path / root / "latest").symlink_to("v1")
        (tmp_path / root / "deep").symlink_to("v1/deep")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "data") == ["linked/v1/deep/a", "v1/deep/a"]


def test_a_link_into_a_folder_that_is_left_alone_is_followed(tmp_path: Path) -> None:
    (tmp_path / ".store" / "a").mkdir(parents=True)
    (tmp_path / ".store" / "a" / "file").touch()
    (tmp_path / "a").symlink_to(".store/a")
    found = [here.name for here, files in walk(tmp_path, lambda name: name.startswith(".")) if files]
    assert found == ["a"]


def test_folders_that_link_to_each_other_are_walked_in_no_time(tmp_path: Path) -> None:
    folders = [tmp_path / f"f{number:02}" for number in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "file").touch()
        for other in folders:
            (folder / other.name).symlink_to(other)
    assert names(tmp_path) == [f"{folder.name}/file" for folder in folders]
    assert len(names(folders[0])) == len(folders)  # from one of them, too


def test_a_folder_that_cannot_be_entered_is_an_error(tmp_path: Path, shut: Callable[[Path], None]) -> None:
    (tmp_path / "shut").mkdir()
    shut(tmp_path / "shut")
    with pytest.raises(PermissionError) as error:
        names(tmp_path)
    assert error.value.filename == str(tmp_path / "shut")


def test_a_folder_that_is_left_alone_is_not_entered(tmp_path: Path, shut: Callable[[Path], None]) -> None:
    (tmp_path / ".cache").mkdir()
    shut(tmp_path / ".cache")
    (tmp_path / "a").touch()
    assert [files for _, files in walk(tmp_path, lambda name: name.startswith("."))] == [["a"]]


def test_what_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert names(tmp_path / "none") == []


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "out"):
        with pytest.raises(StepError) as error, sole_writer(tmp_path / "out"):
            pass
        with sole_writer(tmp_path / "others"):
            pass
    assert str(error.value) == (
        f"{tmp_path / 'out'}: another run writes there now; wait until it has ended, or give another --output"
    )
    with sole_writer(tmp_path / "out"):
        (tmp_path / "out" / "file").touch()
    assert [path.name for path in tmp_path.rglob("*")] == [
        "out",
        "file",
    ]  # no lock file, and no folder without anything


def test_where_there_are_no_locks_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with sole_writer(tmp_path):
        pass
    assert capsys.readouterr().out == (
        f"note: {tmp_path} cannot be locked (No locks available); let no second run write there\n"
    )


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(StepError, match=r"file/out: cannot write there \(Not a directory\); give another")
    with refused, sole_writer(tmp_path / "file" / "out"):
        pass


def test_a_folder_that_is_never_there_ends_the_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    refused = pytest.raises(StepError, match=r"^out: cannot write there \(No such file or directory\); give another")
    with refused, sole_writer(Path("out")):
        pass
