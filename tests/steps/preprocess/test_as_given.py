"""Errors inside a pipeline: the user's URIs and settings in place of the container's folders and options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.preprocess.as_given import in_words_of_command
from steps.shared import contract

MOST = "3 of 10 rows (30.0%) are invalid; 10.0% are allowed\nFix them, or raise --max-invalid-fraction."


@pytest.fixture
def job(tmp_path, monkeypatch) -> Path:
    """The folder that is a job's /opt/ml, with a configuration as SageMaker writes it."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    inputs = {"data": "s3://bucket/pairs/", "validation_data": "s3://bucket/held out/v.jsonl.gz"}
    given = [
        {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}"}}
        for name, uri in inputs.items()
    ]
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "processingjobconfig.json").write_text(json.dumps({"ProcessingInputs": given}))
    return tmp_path


def test_a_command_of_ones_own_keeps_its_words(tmp_path, monkeypatch):
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    assert in_words_of_command(f"/opt/ml/processing/input/data: {MOST}") == f"/opt/ml/processing/input/data: {MOST}"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("data", "s3://bucket/pairs/"),
        ("data/a/b.jsonl", "s3://bucket/pairs/a/b.jsonl"),
        ("validation_data/v.jsonl.gz", "s3://bucket/held out/v.jsonl.gz"),
    ],
)
def test_folders_of_the_job_are_the_uris_that_were_given(job, path, told):
    assert in_words_of_command(f"{job}/processing/input/{path}: is XML") == f"{told}: is XML"
    assert in_words_of_command(f"in {job}/processing/input/{path}") == f"in {told}"


def test_the_folder_of_one_object_is_the_object(job):
    folder = job / "processing/input/validation_data"
    folder.mkdir(parents=True)
    (folder / "v.jsonl.gz").touch()
    assert in_words_of_command(f"{folder}: {MOST}").startswith("s3://bucket/held out/v.jsonl.gz: 3 of 10 rows")


def test_a_local_run_tells_the_files_that_its_uris_were_made_of(job, monkeypatch):
    monkeypatch.setenv("INPUT_ORIGINS", json.dumps({"s3://bucket/pairs/": "/home/me/my pairs/"}))
    assert in_words_of_command(f"{job}/processing/input/data/a.csv: x") == "/home/me/my pairs/a.csv: x"
    assert in_words_of_command(f"{job}/processing/input/data: x") == "/home/me/my pairs/: x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MOST, MOST.replace("--max-invalid-fraction", "--set MaxInvalidFraction=X")),
        (
            "no row falls to train at --validation-fraction 0.01 (1 read, 0 quarantined); raise it",
            "no row falls to train at --set ValidationFraction=0.01 (1 read, 0 quarantined); raise it",
        ),
        (
            "--max-tokens needs --tokenizer; without one give --max-characters",
            "preprocess.max_tokens of the settings needs preprocess.tokenizer of the settings; without one give "
            "preprocess.max_characters of the settings",
        ),
        (
            "names say: --column prompt=question --column chosen=good\nFix them",
            "names say: columns: {prompt: question, chosen: good} under preprocess: of the settings\nFix them",
        ),
    ],
)
def test_options_are_the_settings_that_were_given(job, text, told):
    assert in_words_of_command(text) == told


def test_where_the_disk_goes_with_the_instance_no_file_of_it_is_named(job, monkeypatch):
    kept = f"\nThe rows and their reasons: {job}/processing/output/failed/quarantine.jsonl"
    assert in_words_of_command(MOST + kept).endswith(kept)
    monkeypatch.setattr("steps.preprocess.as_given.Path", lambda _: contract.root())
    assert in_words_of_command(MOST + kept).endswith("--set MaxInvalidFraction=X.")
