"""Files that are no data: named as what they are, under any name that data has."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.read.foreign import foreign
from steps.preprocess.read.inputs import SUFFIXES
from steps.preprocess.read.sources import plan, read_rows
from steps.shared.contract import StepError

ROWS = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(9)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 12345\n"


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, LINES)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("data.jsonl")
        entry.size = len(LINES)
        archive.addfile(entry, io.BytesIO(LINES.encode()))
    return file.getvalue()


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "x.db") as connection:
        connection.execute("create table t (a)")
    connection.close()
    return (folder / "x.db").read_bytes()


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(9))
    return file.getvalue()


KINDS: dict[str, tuple[bytes | Callable[[Path], bytes], str]] = {
    "LFS": (POINTER.encode(), "is a Git LFS pointer, not the data; fetch the data with git lfs pull, or with hf"),
    "annex": (b"/annex/objects/SHA256E-s12--ab.jsonl\n", "is a git-annex pointer, not the data; fetch the data with"),
    "html": (b"\xef\xbb\xbf\n <!DOCTYPE html><html><body>Access denied</body></html>", "is an HTML page, such as a"),
    "html without a type": (b"<HTML>\n<head>", "is an HTML page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is XML, such as an error message"),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook (.xlsx); save the sheet as CSV"),
    "zip": (zipped("data.jsonl"), "is a zip archive; take the data files out of it"),
    "tar": (tarred(), "is a tar archive; take the data files out of it"),
    "bzip2": (bz2.compress(LINES.encode()), "is compressed with bzip2; unpack it, or compress it with gzip or zstd"),
    "xz": (lzma.compress(LINES.encode()), "is compressed with xz; unpack it"),
    "pickle": (pickle.dumps(ROWS), "is a Python pickle; write it as Parquet or JSON Lines"),
    "numpy": (numpy_file(), "is a NumPy file"),
    "sqlite": (database, "is an SQLite database"),
    "UTF-16 with a mark": (LINES.encode("utf-16"), "is text in UTF-16; save it as UTF-8, such as with iconv -f UTF-16"),
    "UTF-16LE": (LINES.encode("utf-16-le"), "is text in UTF-16LE; save it as UTF-8, such as with iconv -f UTF-16LE -t"),
    "UTF-16BE": (LINES.encode("utf-16-be"), "is text in UTF-16BE"),
    "UTF-32": (LINES.encode("utf-32"), "is text in UTF-32; save"),
    "UTF-32BE": (LINES.encode("utf-32-be"), "is text in UTF-32BE; save"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_data_is_named_under_any_name(tmp_path, kind, suffix):
    data, said = KINDS[kind]
    path = tmp_path / f"data{suffix}"
    path.write_bytes(data if isinstance(data, bytes) else data(tmp_path))
    for read in (lambda: plan([("x", path)]), lambda: list(read_rows(path.name, path))):
        with pytest.raises(StepError) as error:
            read()
        assert str(error.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_data_is_named_when_it_is_compressed(tmp_path, kind):
    data, said = KINDS[kind]
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(data if isinstance(data, bytes) else data(tmp_path)))
    with pytest.raises(StepError) as error:
        list(read_rows(path.name, path))
    assert str(error.value).startswith(f"{path}: what is compressed in it {said}")


def test_all_files_that_are_no_data_are_named_at_once(tmp_path):
    files = []
    for number in range(8):
        path = tmp_path / f"{number}.jsonl.gz"
        path.write_bytes(POINTER.encode() if number else gzip.compress(LINES.encode()))
        files.append((path.name, path))
    with pytest.raises(StepError) as error:
        plan(files)
    *named, more = str(error.value).splitlines()
    assert [line.partition(": ")[0] for line in named] == [
        str(tmp_path / f"{number}.jsonl.gz") for number in range(1, 6)
    ]
    assert more == "and 2 more files"


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".arrow", ".feather"])
def test_a_file_that_is_not_what_it_is_called_is_refused(tmp_path, suffix):
    path = tmp_path / f"data.jsonl{suffix}"
    path.write_bytes(b"\0\1\2 nothing known")
    with pytest.raises(StepError) as error:
        plan([("x", path)])
    said = f"does not begin as a {suffix} file does; it is damaged, or another file: copy it again"
    assert str(error.value) == f"{path}: {said}"


def test_what_was_unpacked_on_the_way_and_kept_its_name_is_read(tmp_path):
    for name, text in (("data.jsonl.gz", LINES), ("data.parquet", json.dumps(ROWS)), ("data.csv.gz", table(ROWS))):
        path = tmp_path / name
        path.write_text(text)
        assert [json.loads(row.data) for row in read_rows(name, path)] == ROWS


def table(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


ROW = st.dictionaries(st.text(max_size=8), JSON, max_size=3)


@given(ROW | st.lists(ROW, max_size=3), st.booleans())
def test_no_json_of_rows_is_taken_for_something_else(value, ascii_only):
    assert foreign(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")[:512]) is None


def test_a_page_of_comments_is_told_at_once():
    assert (foreign((b"<!---->" * 99)[:512]) or "").startswith("is XML")
    assert (foreign(b"<!-- a --> <!-- b -->\n<!DOCTYPE html>") or "").startswith("is an HTML page")
