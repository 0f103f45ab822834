"""Content keys: the same content has the same key, other content another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.settings.content import code_key, content_key, input_files


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_content_key_follows_content_and_names(tmp_path: Path) -> None:
    one = write(tmp_path / "one", a_txt="1", b_txt="2")
    assert content_key(one) == content_key(write(tmp_path / "two", b_txt="2", a_txt="1"))
    assert content_key(one) != content_key(write(tmp_path / "three", a_txt="2", b_txt="1"))
    assert content_key(one) != content_key(write(tmp_path / "four", c_txt="1", b_txt="2"))


def test_hidden_files_and_caches_are_no_part_of_an_input(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", a_txt="1")
    key = content_key(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("x")
    (folder / ".cache").write_text("x")
    assert content_key(folder) == key
    assert list(input_files(folder)) == ["a.txt"]


def test_a_manual_is_no_part_of_the_code_and_is_part_of_an_input(tmp_path: Path) -> None:
    folder = write(tmp_path / "steps", a_py="1")
    assert code_key(folder) == content_key(folder)
    write(folder, README_md="how it works")
    assert code_key(folder) == content_key(write(tmp_path / "same", a_py="1")) != content_key(folder)


def test_nothing_to_upload_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="empty folder"):
        content_key(tmp_path / "none")
    with pytest.raises(UserError, match="no such file or folder"):
        content_key(tmp_path / "missing")


def test_what_cannot_be_read_in_an_input_is_an_error_that_names_it(
    tmp_path: Path, shut: Callable[[Path], None]
) -> None:
    folder = write(tmp_path / "data", a_txt="1")
    (folder / "shut").mkdir()
    shut(folder / "shut")
    with pytest.raises(UserError) as error:
        content_key(folder)
    assert str(error.value) == (
        f"{folder / 'shut'}: cannot be read (Permission denied), and an input is taken whole: make it readable, or "
        "take it out of the folder"
    )


def test_a_link_to_nothing_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", a_txt="1")
    (folder / "gone").symlink_to(tmp_path / "none")
    with pytest.raises(UserError, match=r"data/gone: cannot be read \(No such file or directory\)"):
        content_key(folder)


def test_a_pipe_is_named_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.jsonl")
    for path in (tmp_path, tmp_path / "data.jsonl"):
        with pytest.raises(UserError, match="a pipe"):
            content_key(path)
