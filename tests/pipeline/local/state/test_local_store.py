"""The store behaves as S3 does where a pipeline can notice, and never shows half an object."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.local.state.store import Store
from pipeline.settings.assets import asset


@pytest.fixture
def store(root):
    return Store(root)


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_folder_comes_back_as_it_went(store, tmp_path):
    store.upload(write(tmp_path / "data", a_txt="1", deep__er__b_txt="2"), "s3://bucket/some/prefix")
    assert store.download("s3://bucket/some/prefix", tmp_path / "out") == 2
    assert (tmp_path / "out/a.txt").read_text() == "1"
    assert (tmp_path / "out/deep/er/b.txt").read_text() == "2"


def test_a_file_is_one_object(store, tmp_path):
    store.upload(write(tmp_path, a_txt="1") / "a.txt", "s3://bucket/k/b.txt")
    assert store.exists("s3://bucket/k/b.txt")
    store.download("s3://bucket/k/b.txt", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["b.txt"]


def test_a_prefix_without_a_slash_takes_its_siblings_as_s3_does(store, tmp_path):
    for name in ("run-1", "run-10", "other"):
        store.upload(write(tmp_path / name, f_txt=name), f"s3://bucket/{name}")
    assert [name for name, _ in store.objects("s3://bucket/run-1")] == ["f.txt", "0/f.txt"]
    assert [name for name, _ in store.objects("s3://bucket/run-1/")] == ["f.txt"]
    assert len(store.objects("s3://bucket/")) == 3


@pytest.mark.parametrize("uri", ["s3://bucket/../../etc/passwd", "s3://../x", "s3://bucket/a/../b"])
def test_a_key_cannot_leave_its_bucket(store, uri):
    with pytest.raises(UserError, match=r"'\.\.' is not allowed"):
        store.path(uri)


@pytest.mark.parametrize("uri", ["/tmp/x", "s3:/bucket", "s3://", "https://bucket/key"])
def test_what_is_no_s3_uri_is_refused(store, uri):
    with pytest.raises(UserError, match="not an S3 URI"):
        store.path(uri)


def test_downloading_nothing_is_an_error_that_says_where_it_looked(store, tmp_path):
    with pytest.raises(UserError, match="s3://bucket/none: nothing there"):
        store.download("s3://bucket/none", tmp_path / "out")


def test_links_of_a_hub_cache_are_followed(store, tmp_path):
    blob = write(tmp_path / "blobs", abc="weights") / "abc"
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/model.bin").symlink_to(blob)
    uri = "s3://bucket/models/"
    store.upload(tmp_path / "snapshot", uri)
    assert (store.path(uri) / "model.bin").read_text() == "weights"
    assert not (store.path(uri) / "model.bin").is_symlink()


def test_a_job_cannot_spoil_the_store_through_its_input(store, tmp_path):
    store.upload(write(tmp_path / "data", a_txt="1"), "s3://bucket/data")
    store.download("s3://bucket/data", tmp_path / "job")
    try:
        (tmp_path / "job/a.txt").write_text("spoilt")
    except PermissionError:
        assert os.geteuid() != 0  # a read-only link; root has got a copy
    assert store.path("s3://bucket/data/a.txt").read_text() == "1"


@pytest.mark.parametrize("refusal", [None, errno.EXDEV, errno.EOPNOTSUPP])
def test_a_copy_is_whole_whether_the_file_system_can_share_blocks_or_not(store, tmp_path, monkeypatch, refusal):
    def refuse(*_):
        raise OSError(refusal, "refused")

    if refusal:
        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    data = tmp_path / "data.bin"
    data.write_bytes(os.urandom(300_000))
    store.upload(data, "s3://bucket/data.bin")
    assert store.path("s3://bucket/data.bin").read_bytes() == data.read_bytes()


def test_a_full_disk_is_no_reason_to_copy_in_another_way(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with pytest.raises(OSError, match="no space left"):
        store.upload(write(tmp_path, a_txt="1") / "a.txt", "s3://bucket/a.txt")
    assert not store.exists("s3://bucket/a.txt")


def test_taking_moves_a_jobs_files_and_leaves_what_its_links_point_to(store, tmp_path):
    elsewhere = write(tmp_path / "cache", b_bin="cached")
    model = write(tmp_path / "model", a_bin="trained")
    (model / "linked").symlink_to(elsewhere)
    store.take(model, "s3://bucket/model")
    assert not (model / "a.bin").exists()
    assert store.path("s3://bucket/model/linked/b.bin").read_text() == "cached"
    assert (elsewhere / "b.bin").read_text() == "cached"


def test_where_content_came_from_is_remembered(tmp_path):
    store = Store(tmp_path / "root")
    (tmp_path / "rows.jsonl").write_text("{}")
    store.note_origin("s3://b/one/rows.jsonl", tmp_path / "rows.jsonl")
    store.note_origin("s3://b/two/", tmp_path)
    assert store.origin("s3://b/one/rows.jsonl") == f"{tmp_path}/rows.jsonl"
    assert store.origin("s3://b/two/") == f"{tmp_path}/"
    assert store.origin("s3://b/three/") is None


def test_a_store_on_a_file_system_of_its_own_takes_objects(tmp_path, monkeypatch):
    store, real = Store(tmp_path / "local"), os.replace
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "a.txt").write_text("a")

    def replace(source, target):
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    store.take(tmp_path / "left", "s3://bucket/out")
    assert [(name, file.read_text()) for name, file in store.objects("s3://bucket/out/")] == [("a.txt", "a")]
    assert not (tmp_path / "left" / "a.txt").exists()


@pytest.mark.parametrize("name", ["", "a.txt"], ids=["folder", "file"])
def test_what_was_rewritten_after_its_key_was_made_is_not_stored_under_it(store, tmp_path, name):
    data = write(tmp_path / "data", a_txt="1", b_txt="2")
    made = asset(data / name, "s3://bucket/data")
    (data / "a.txt").write_text("others")
    with pytest.raises(UserError, match="its content changed while it was read; run again when nothing writes there"):
        store.upload(made.path, made.uri, made.key)
    assert not store.exists(made.uri) and not list(tmp_path.glob("local/staging/*"))
    (data / "a.txt").write_text("1")
    store.upload(made.path, made.uri, made.key)
    assert store.exists(made.uri)


def test_what_a_job_left_and_cannot_be_read_is_an_error_and_not_left_out(store, tmp_path, shut):
    model = write(tmp_path / "model", a_bin="trained", more__b_bin="more")
    shut(model / "more")
    with pytest.raises(PermissionError):
        store.take(model, "s3://bucket/model")


@pytest.mark.parametrize("how", ["upload a file", "upload a folder", "put", "take"])
def test_an_object_is_synced_before_it_has_its_name(tmp_path, monkeypatch, how):
    """Else a power cut leaves an object that is there and empty, which no later start would bring again."""
    source = tmp_path / "in" / "a.txt"
    source.parent.mkdir()
    source.write_text("content")
    store, synced = Store(tmp_path / "state"), set()
    sync, replace, rename = os.fsync, os.replace, os.rename

    def fsync(number):
        synced.add(os.fstat(number).st_ino)
        sync(number)

    def named(move):
        def call(beside, target):
            files = [Path(beside)] if Path(beside).is_file() else [f for f in Path(beside).rglob("*") if f.is_file()]
            assert {file.stat().st_ino for file in files} <= synced
            move(beside, target)

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", named(replace))
    monkeypatch.setattr(os, "rename", named(rename))
    calls = {
        "upload a file": lambda: store.upload(source, "s3://b/a.txt"),
        "upload a folder": lambda: store.upload(source.parent, "s3://b/"),
        "put": lambda: store.put(source, "s3://b/a.txt"),
        "take": lambda: store.take(source.parent, "s3://b/"),
    }
    calls[how]()
    assert store.path("s3://b/a.txt").read_text() == "content"
