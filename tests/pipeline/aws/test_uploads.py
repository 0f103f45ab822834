"""Local files in S3: once each, and only with the content that their key was made of."""

from __future__ import annotations

import boto3
import pytest

from pipeline.aws import uploads
from pipeline.aws.uploads import upload_assets
from pipeline.errors import UserError
from pipeline.settings.assets import Asset, asset


@pytest.fixture
def s3(aws):
    client = boto3.client("s3")
    client.create_bucket(Bucket="dpo-bucket")
    return client


def test_assets_are_uploaded_once_and_folders_file_by_file(tmp_path, s3):
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "deep" / "weights").write_text("1")
    (tmp_path / "args.yaml").write_text("beta: 0.1")
    assets = [
        Asset("s3://dpo-bucket/config/0f3a/args.yaml", tmp_path / "args.yaml"),
        Asset("s3://dpo-bucket/model/77aa/", tmp_path / "model"),
    ]
    uploaded = [
        "s3://dpo-bucket/config/0f3a/args.yaml",
        "s3://dpo-bucket/model/77aa/config.json",
        "s3://dpo-bucket/model/77aa/deep/weights",
    ]
    assert upload_assets(s3, assets) == uploaded
    assert s3.get_object(Bucket="dpo-bucket", Key="config/0f3a/args.yaml")["Body"].read() == b"beta: 0.1"
    s3.delete_object(Bucket="dpo-bucket", Key="model/77aa/config.json")
    assert upload_assets(s3, assets) == ["s3://dpo-bucket/model/77aa/config.json"]


def sizes(s3, made):
    found = s3.list_objects_v2(Bucket="dpo-bucket", Prefix=made.uri.removeprefix("s3://dpo-bucket/"))
    return [entry["Size"] for entry in found.get("Contents", [])]


def test_content_that_has_changed_since_its_key_was_made_is_not_uploaded(tmp_path, s3):
    (tmp_path / "rows.jsonl").write_text("approved")
    made = asset(tmp_path / "rows.jsonl", "s3://dpo-bucket/data")
    (tmp_path / "rows.jsonl").write_text("others")
    with pytest.raises(UserError, match=r"rows\.jsonl: its content changed while it was read; run again"):
        upload_assets(s3, [made])
    assert sizes(s3, made) == []


@pytest.mark.parametrize("size", [10, uploads.PART_BYTES, uploads.PART_BYTES + 10])
def test_content_that_changes_during_the_upload_is_not_stored(tmp_path, s3, monkeypatch, size):
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"a" * size)
    made = asset(rows, "s3://dpo-bucket/data")
    hashes = uploads.hashes

    def rewritten(files):
        found = hashes(files)
        rows.write_bytes(b"b" * size)
        return found

    monkeypatch.setattr(uploads, "hashes", rewritten)
    with pytest.raises(UserError, match="its content changed while it was read"):
        upload_assets(s3, [made])
    assert sizes(s3, made) == []
    monkeypatch.undo()
    rows.write_bytes(b"a" * size)
    assert upload_assets(s3, [made]) == [made.uri]
    assert sizes(s3, made) == [size]
