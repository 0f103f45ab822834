"""Prefixes of S3 as folders of this machine, against moto."""

from __future__ import annotations

import shutil
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from pipeline.aws import downloads
from pipeline.errors import UserError

MODEL = "s3://dpo-bucket/run/model/"


@pytest.fixture
def s3(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="dpo-bucket")
        for key in ("model/", "model/config.json", "model/deep/weights", "model-2/config.json"):
            client.put_object(Bucket="dpo-bucket", Key=f"run/{key}", Body=b"" if key.endswith("/") else key.encode())
        yield client


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_prefix_is_fetched_once_and_again_when_it_changed(s3, tmp_path: Path) -> None:
    said: list[str] = []
    first = downloads.folder(s3, MODEL, tmp_path, said.append)
    assert files(first) == {"config.json": "model/config.json", "deep/weights": "model/deep/weights"}
    assert downloads.folder(s3, MODEL, tmp_path, said.append) == first
    assert len(said) == 1 and said[0].startswith(f"fetching {MODEL}: 2 files")
    s3.put_object(Bucket="dpo-bucket", Key="run/model/config.json", Body=b"new")
    second = downloads.folder(s3, MODEL, tmp_path, said.append)
    assert files(second)["config.json"] == "new" and files(first)["config.json"] == "model/config.json"


def test_a_download_that_fails_leaves_nothing(s3, tmp_path: Path, monkeypatch) -> None:
    fetch = s3.download_file

    def broken(bucket: str, key: str, target: str, **_: object) -> None:
        if key.endswith("weights"):
            raise OSError(28, "No space left on device")
        fetch(bucket, key, target)

    monkeypatch.setattr(s3, "download_file", broken)
    with pytest.raises(UserError, match=r"cannot be kept in .*: No space left on device; make room there"):
        downloads.folder(s3, MODEL, tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_fetched_is_refused_first(s3, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"model.tar.gz: an archive, not a folder of files"):
        downloads.folder(s3, "s3://dpo-bucket/model.tar.gz", tmp_path, print)
    with pytest.raises(UserError, match="nothing is there any more"):
        downloads.folder(s3, "s3://dpo-bucket/absent/", tmp_path, print)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5))
    with pytest.raises(UserError, match=r"0.0 GB are free in .*; make room there, or name another folder"):
        downloads.folder(s3, MODEL, tmp_path, print)
    s3.put_object(Bucket="dpo-bucket", Key="run/model/../../out", Body=b"x")
    with pytest.raises(UserError, match="a name that leads out of its folder"):
        downloads.folder(s3, MODEL, tmp_path, print)
    assert list(tmp_path.iterdir()) == []


def test_an_object_is_read_whole_or_not_there(s3) -> None:
    assert downloads.read(s3, f"{MODEL}config.json") == b"model/config.json"
    assert downloads.read(s3, f"{MODEL}absent") is None
    assert downloads.exists(s3, MODEL) and not downloads.exists(s3, "s3://dpo-bucket/absent/")
