"""Which files of a folder are data."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.settings.content import input_files
from steps.preprocess.read.inputs import find_inputs
from steps.shared.contract import StepError


def test_a_folder_gives_its_data_files_in_order_and_names_the_others(tmp_path):
    data = ["a/A.JSON", "a/z.json.gz", "b.jsonl", "c.ndjson.zst", "d.arrow", "part.parquet", "t.TSV", "x.csv.gz"]
    for name in (*data, "README.md", "x.xlsx", ".hidden.json", ".git/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inputs = find_inputs(tmp_path)
    assert inputs.files == [(name, tmp_path / name) for name in data]
    assert inputs.ignored == ["README.md", "x.xlsx"]


def test_one_file_is_taken_whatever_it_is_called(tmp_path):
    (tmp_path / "data.txt").touch()
    assert find_inputs(tmp_path / "data.txt").files == [("data.txt", tmp_path / "data.txt")]


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path / "none")
    wanted = "no such file or folder; --input must name a data file or a folder of them"
    assert str(error.value) == f"{tmp_path / 'none'}: {wanted}"


def test_a_folder_without_data_files_says_what_it_holds(tmp_path):
    (tmp_path / "data.xls").touch()
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    readable = (
        ".json, .jsonl, .ndjson, .csv, .tsv, .json.gz, .json.zst, .jsonl.gz, .jsonl.zst, .ndjson.gz, .ndjson.zst, "
        ".csv.gz, .csv.zst, .tsv.gz, .tsv.zst, .parquet, .arrow, .feather"
    )
    assert str(error.value) == f"{tmp_path}: no data file in this folder (it holds data.xls); readable are {readable}"


@pytest.mark.parametrize(
    "name",
    ["b.jsonl.bz2", "b.csv.xz", "b.parquet.gz", "b.arrow.zst", "b.zip", "b.JSON.ZIP", "b.tar", "b.tar.gz", "b.tgz"],
)
def test_data_in_a_packing_that_is_not_read_ends_the_step(tmp_path, name):
    for file in ("a.jsonl", name):
        (tmp_path / file).touch()
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: {name} would be left out: packed in a way that is not read; unpack it (texts may be compressed "
        "with gzip or zstd), or take it out of the folder"
    )


def test_other_packed_files_are_left_alone(tmp_path):
    for file in ("a.jsonl", "run.log.gz", "code.py.bz2", "target.txt", "tar.md"):
        (tmp_path / file).touch()
    assert find_inputs(tmp_path).ignored == ["code.py.bz2", "run.log.gz", "tar.md", "target.txt"]


def saved(folder: Path, *files: str, listed: Sequence[str]) -> None:
    """A folder as save_to_disk of datasets leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*files, "dataset_info.json"):
        (folder / name).write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in listed]}))


def test_a_saved_data_set_is_the_files_that_it_lists(tmp_path):
    parts = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    saved(tmp_path, *parts, "cache-1f0e.arrow", listed=parts)
    inputs = find_inputs(tmp_path)
    assert [label for label, _ in inputs.files] == parts
    assert inputs.ignored == ["cache-1f0e.arrow", "dataset_info.json", "state.json"]


def test_a_saved_data_set_without_one_of_its_files_is_an_error(tmp_path):
    saved(tmp_path, "data-00000-of-00002.arrow", listed=["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"])
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    said = "data-00001-of-00002.arrow of 2 files of this data set are missing; copy it again"
    assert str(error.value) == f"{tmp_path}: {said}"


def test_a_saved_selection_of_rows_is_refused(tmp_path):
    saved(tmp_path, "dataset.arrow", listed=["dataset.arrow"])
    state = {"_data_files": [{"filename": "dataset.arrow"}], "_indices_data_files": [{"filename": "indices.arrow"}]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    said = "this data set is a selection of its files' rows; save it with flatten_indices()"
    assert str(error.value) == f"{tmp_path}: {said}"


def test_all_splits_of_a_saved_data_set_are_read_and_named(tmp_path):
    for split in ("train", "test"):
        saved(tmp_path / split, "data-00000-of-00001.arrow", listed=["data-00000-of-00001.arrow"])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    inputs = find_inputs(tmp_path)
    assert [label for label, _ in inputs.files] == ["test/data-00000-of-00001.arrow", "train/data-00000-of-00001.arrow"]
    assert inputs.splits == ("train", "test")
    assert "dataset_dict.json" in inputs.ignored


def test_what_the_hub_says_about_files_is_no_data_beside_them(tmp_path):
    for name in ("dataset_info.json", "dataset_infos.json", "a.parquet"):
        (tmp_path / name).touch()
    assert [label for label, _ in find_inputs(tmp_path).files] == ["a.parquet"]


def test_a_folder_that_cannot_be_entered_ends_the_step(tmp_path, shut):
    (tmp_path / "a.jsonl").touch()
    for name in ("more", ".cache"):
        (tmp_path / name).mkdir()
        shut(tmp_path / name)
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'more'}: this folder cannot be entered (Permission denied), and data is read whole; make it "
        "readable, or take it out of the folder"
    )


def test_a_linked_folder_is_read_as_a_start_copies_it(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.jsonl").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    assert [name for name, _ in find_inputs(tmp_path / "data").files] == ["linked/b.jsonl"]
    assert list(input_files(tmp_path / "data")) == ["linked/b.jsonl"]


def test_a_pipe_is_named_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.jsonl")
    for path in (tmp_path, tmp_path / "data.jsonl"):
        with pytest.raises(StepError, match="a pipe"):
            find_inputs(path)
