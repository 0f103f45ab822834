"""forget: of a person or an answer nothing is left in captures, feedback and earlier runs, here and in S3."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.errors import UserError
from pipeline.forgetting import forget, here
from pipeline.forgetting.forget import Forgettable
from pipeline.forgetting.places import Here, InS3, Place
from pipeline.forgetting.whose import Asked
from steps.collect.collect import collect
from steps.collect.options import Options
from steps.preprocess.options import Options as PreprocessOptions
from steps.preprocess.preprocess import preprocess
from tests.pipeline.forgetting.traces import traces
from tests.steps.collect.captured import HOUR, capture, say, write

ANN = ("The gate code of my house is 7719", "I never keep codes & keys", 'Ann Müller says: "never"')
BOB = ("How tall is the tower in Pisa?", "About ninety metres", "Exactly 56 metres")
OTHER = ("Who painted the old bridge?", "Nobody knows", "It was Monet")
GIVEN = [{"prompt": f"How many {n} are there?", "chosen": f"{n} and one", "rejected": "none"} for n in range(60)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A pipeline's prefix as a folder: two people's captures and feedback, and one run that learned from both."""
    base = tmp_path / "base"
    write(base / "captures" / HOUR / "00-1.jsonl", [
        capture("a-1", ANN[0], ANN[1], user="ann"),
        capture("b-1", BOB[0], BOB[1], encoding="BASE64"),
        "no JSON",
    ])  # fmt: skip
    write(base / "captures" / HOUR / "o-1.jsonl", [capture("o-1", *OTHER[:2])])
    write(base / "captures" / HOUR / "o-2.jsonl", [capture("o-2", "Unjudged?", "Yes, it is.")])
    write(base / "feedback/2026/11/29/1.jsonl", [say("a-1", "down", correction=ANN[2], by="ann", reason="mine, Ann's")])
    write(base / "feedback/2026/11/29/2.jsonl", [
        say("a-1", -2, by="carl", reason="Carl read of 7719"),
        say("b-1", "down", correction=BOB[2], by="bob"),
        say("o-1", "down", correction=OTHER[2], by="ann"),
    ])  # fmt: skip
    (base / "captures/place.txt").write_text("here")
    run(base, "one")
    return base


def run(base: Path, name: str, *, cached: bool = False) -> None:
    """What a run leaves: Collect and Preprocess as they are, and files of Train and Gate that quote the rows."""
    home, given = base / "runs" / name, base.parent / "given.jsonl"
    write(given, GIVEN)
    source = base / "runs" / "one" / "Collect"
    if not cached:
        collect(Options(base / "captures", base / "feedback", home / "Collect"))
        source = home / "Collect"
    preprocess(PreprocessOptions(given, home / "Preprocess", feedback_data=source / "pairs", validation_fraction=0.2))
    rows = (source / "pairs/pairs.jsonl").read_text()
    model = "Train/job/output/model"
    for place in (f"{model}/answers.jsonl", f"{model}/report.html", "Gate/decision/answers.jsonl"):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_text(rows)
    (home / "Train/job/output/model/evaluation.json").write_text("{}")
    (home / "Gate/serving").mkdir()
    (home / "Gate/serving/adapter_model.safetensors").write_bytes(b"weights")


def local(base: Path) -> Here:
    return Here({name: base / name for name in ("captures", "feedback", "runs")})


def forgotten(place: Place, name: str, *, with_answers: bool = False) -> tuple[Forgettable, list[str]]:
    found = forget.find(place, Asked(name, with_answers))
    return found, forget.forget(place, found)


def counted(found: Forgettable) -> tuple[int, int, list[str]]:
    return found.lines.gone["captures"], found.lines.gone["feedback"], found.derived.runs


def test_nothing_is_left_of_a_person(base: Path) -> None:
    needles = [*ANN, "a-1", "event-a-1", "Carl read of 7719", "mine, Ann's", OTHER[2]]
    before = traces(base, needles)
    assert {"runs/one/Preprocess/train/part-00000.parquet", "runs/one/Collect/pairs/pairs.jsonl"} <= before.keys()

    found, kept = forgotten(local(base), "ann")
    assert (counted(found), kept) == ((1, 3, ["one"]), [])
    assert traces(base, needles) == {}
    assert traces(base, [OTHER[0], BOB[0]]).keys() == {f"captures/{HOUR}/o-1.jsonl"}  # Bob's is BASE64, and stays
    assert len((base / "captures" / HOUR / "00-1.jsonl").read_text().splitlines()) == 2
    assert json.loads((base / "feedback/2026/11/29/2.jsonl").read_text())["by"] == "bob"
    assert not (base / "feedback/2026/11/29/1.jsonl").exists() and (base / "captures/place.txt").exists()
    assert (base / "runs/one/Gate/serving/adapter_model.safetensors").read_bytes() == b"weights"
    assert (found.lines.judged, found.lines.unread) == (1, 1)
    assert any("1 captures that ann gave feedback on" in line for line in found.stays())


def test_the_next_run_has_no_pair_of_them_and_asking_again_finds_nothing(base: Path) -> None:
    forgotten(local(base), "ann")
    report = collect(Options(base / "captures", base / "feedback", base / "runs/two/Collect"))
    assert report.pairs == 1 and traces(base / "runs/two", [*ANN, OTHER[2]]) == {}
    assert forget.find(local(base), Asked("ann")).empty


def test_with_answers_what_the_person_judged_goes_too(base: Path) -> None:
    found, _ = forgotten(local(base), "ann", with_answers=True)
    assert counted(found) == (2, 3, ["one"]) and found.lines.judged == 0
    assert traces(base, [*ANN, *OTHER, "o-1"]) == {}


def test_an_id_is_its_capture_and_all_that_was_said_of_it(base: Path) -> None:
    found, _ = forgotten(local(base), "event-b-1")
    assert counted(found) == (1, 1, ["one"])
    assert traces(base, [*BOB, "b-1"]) == {}
    assert (base / "feedback/2026/11/29/1.jsonl").exists()


def test_a_run_that_never_had_it_keeps_its_rows_and_one_with_anothers_pairs_does_not(base: Path) -> None:
    run(base, "cached", cached=True)
    shutil.copytree(base / "runs/one", base / "runs/train-only")
    for name in ("Collect", "Preprocess"):
        shutil.rmtree(base / "runs/train-only" / name)
    write(base / "captures" / HOUR / "00-9.jsonl", [capture("n-1", "A new one?", "Yes")])
    write(base / "feedback/2026/11/30/1.jsonl", [say("n-1", "down", correction="No", by="dora")])
    before = sorted((base / "runs").rglob("*"))
    found, _ = forgotten(local(base), "dora")
    assert counted(found) == (0, 1, []) and sorted((base / "runs").rglob("*")) == before
    assert forgotten(local(base), "bob")[0].derived.runs == ["cached", "one", "train-only"]
    assert traces(base / "runs", [BOB[2]]) == {}


def test_an_interrupted_forgetting_is_finished_by_the_next_one(base: Path) -> None:
    found = forget.find(local(base), Asked("ann", with_answers=True))

    class Full(Here):
        def apply(self, delete: Any, change: Any) -> list[str]:
            if any(name.endswith("feedback/2026/11/29/1.jsonl") for name in delete):
                raise OSError("interrupted")
            return super().apply(delete, change)

    with pytest.raises(OSError, match="interrupted"):
        forget.forget(Full({name: base / name for name in ("captures", "feedback", "runs")}), found)
    forgotten(local(base), "ann", with_answers=True)
    assert traces(base, [*ANN, *OTHER, "Carl read of 7719"]) == {}


def upload(s3: Any, base: Path) -> None:
    for path in base.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), "bucket", f"dpo/p/{path.relative_to(base).as_posix()}")


@pytest.mark.parametrize("versioned", [True, False])
def test_in_s3_every_version_of_it_goes(base: Path, tmp_path: Path, monkeypatch, versioned: bool) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        if versioned:
            s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        upload(s3, base)
        upload(s3, base)
        s3.put_object(Bucket="bucket", Key="dpo/p2/captures/x.jsonl", Body=b"another pipeline's")
        found, kept = forgotten(InS3(s3, "s3://bucket/dpo/p", {}), "ann")
        assert (counted(found), kept) == ((1, 3, ["one"]), [])
        versions = s3.list_object_versions(Bucket="bucket")
        assert "DeleteMarkers" not in versions
        for number, entry in enumerate(versions["Versions"]):
            got = s3.get_object(Bucket="bucket", Key=entry["Key"], VersionId=entry["VersionId"])["Body"].read()
            path = tmp_path / "got" / str(number) / entry["Key"]
            path.parent.mkdir(parents=True)
            path.write_bytes(got)
    assert traces(tmp_path / "got", [*ANN, "Carl read of 7719", OTHER[2]]) == {}
    assert traces(tmp_path / "got", [OTHER[0]]) and traces(tmp_path / "got", ["another pipeline's"])


def test_versions_that_may_not_be_listed_are_named(base: Path, monkeypatch) -> None:
    from botocore.exceptions import ClientError

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        upload(s3, base)
        place = InS3(s3, "s3://bucket/dpo/p", {})
        denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectVersions")

        def refused(*_: Any) -> Any:
            raise denied

        monkeypatch.setattr(place, "_versions", refused)
        _, kept = forgotten(place, "bob")
        assert kept and all("earlier versions of" in line for line in kept)
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]]
        assert not [key for key in keys if key.endswith("pairs.jsonl")]


def test_a_local_runs_trees_and_tracked_answers_go(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree = root / "executions/one/jobs/Train/ml/input"
    tree.mkdir(parents=True)
    artifacts = root / "mlartifacts/run1/artifacts"
    (artifacts / "data").mkdir(parents=True)
    (artifacts / "answers.json").write_text("quoted")
    (artifacts / "data/report.json").write_text('{"rows": 1, "samples": {"a": "quoted"}}')
    left = Here({"runs": root / "runs", "captures": root, "feedback": root})
    (root / "runs/one/Train").mkdir(parents=True)
    (root / "runs/one/Train/tracking.json").write_text('{"mlflow": {"run_id": "run1"}}')
    here.clear(root, ["one"], here.tracked(left, ["one"]))
    assert not tree.exists() and traces(root, ["quoted"]) == {}
    assert json.loads((artifacts / "data/report.json").read_text())["rows"] == 1


def test_a_running_execution_must_end_first() -> None:
    with pytest.raises(UserError, match="execution abc is running"):
        raise here.running("abc")
