"""Which files of a folder are data."""

from __future__ import annotations

import pytest

from steps.preprocess.read.inputs import find_inputs
from steps.shared.contract import StepError


def test_a_folder_gives_its_data_files_in_order_and_names_the_others(tmp_path):
    data = ["a/A.JSON", "a/z.json.gz", "b.jsonl", "c.ndjson.zst", "part.parquet"]
    for name in (*data, "README.md", "x.csv.gz", ".hidden.json", ".git/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inputs = find_inputs(tmp_path)
    assert inputs.files == [(name, tmp_path / name) for name in data]
    assert inputs.ignored == ["README.md", "x.csv.gz"]


def test_one_file_is_taken_whatever_it_is_called(tmp_path):
    (tmp_path / "data.txt").touch()
    assert find_inputs(tmp_path / "data.txt").files == [("data.txt", tmp_path / "data.txt")]


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path / "none")
    wanted = "no such file or folder; --input must name a data file or a folder of them"
    assert str(error.value) == f"{tmp_path / 'none'}: {wanted}"


def test_a_folder_without_data_files_says_what_it_holds(tmp_path):
    (tmp_path / "data.csv").touch()
    with pytest.raises(StepError) as error:
        find_inputs(tmp_path)
    readable = ".json, .jsonl, .ndjson, .json.gz, .json.zst, .jsonl.gz, .jsonl.zst, .ndjson.gz, .ndjson.zst, .parquet"
    assert str(error.value) == f"{tmp_path}: no data file in this folder (it holds data.csv); readable are {readable}"
