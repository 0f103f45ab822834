"""Registered versions in a real MLflow: at their runs, in its model registry, and which one is the champion."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from steps.shared.contract import StepError
from steps.train import link_versions
from steps.train.tracking import versions
from steps.train.tracking.mlflow_client import connect
from steps.train.tracking.versions import Group, Linked, Version

GROUP = "dpo-quickstart"
ARN = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{GROUP}"


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"


@pytest.fixture
def client(uri: str) -> Any:
    return connect(uri)


def run(client: Any) -> str:
    return str(client.create_run("0").info.run_id)


def version(number: int, run_id: str, status: str = "PendingManualApproval", **facts: str) -> Version:
    return Version(
        number=number, arn=f"{ARN}/{number}", run_id=run_id, source=f"s3://bucket/{number}/", approval_status=status,
        facts={"variant": "merged", **facts},
    )  # fmt: skip


def group(*found: Version, champion: int | None = None, registry: bool = True) -> Group:
    return Group(name=GROUP, versions=list(found), champion=champion, registry=registry)


def test_a_version_and_its_run_name_each_other(client: Any) -> None:
    run_id = run(client)
    found = versions.link(client, group(version(3, run_id, data_hash="8c1f")))
    assert found == Linked(runs=[3], registered={3: "1"})
    tags = client.get_run(run_id).data.tags
    assert (tags["version"], tags["model_package_arn"]) == (f"{GROUP}/3", f"{ARN}/3")
    made = client.get_model_version(GROUP, "1")
    assert (made.source, made.run_id, made.status) == ("s3://bucket/3/", run_id, "READY")
    own = {"version": "3", "model_package_arn": f"{ARN}/3", "approval_status": "PendingManualApproval"}
    assert made.tags.items() >= (own | {"variant": "merged", "data_hash": "8c1f"}).items()


def test_to_tell_it_again_changes_nothing_but_what_has_changed(client: Any) -> None:
    run_id = run(client)
    pending = group(version(1, run_id))
    assert versions.link(client, pending) == versions.link(client, pending)
    versions.link(client, group(version(1, run_id, "Approved", note="good"), champion=1))
    (only,) = client.search_model_versions(f"name = '{GROUP}'")
    assert (only.tags["approval_status"], only.tags["note"]) == ("Approved", "good")
    assert client.get_run(run_id).data.tags["version"] == f"{GROUP}/1"


def test_the_alias_follows_the_champion_and_goes_with_the_last(client: Any) -> None:
    first, second = run(client), run(client)
    both = (version(1, first, "Approved"), version(2, second, "Approved"))

    def champion() -> str | None:
        return client.get_registered_model(GROUP).aliases.get("champion")

    assert versions.link(client, group(*both, champion=2)).champion == "2" == str(champion())
    assert client.get_model_version_by_alias(GROUP, "champion").tags["version"] == "2"
    versions.link(client, group(version(2, second, "Rejected"), version(1, first, "Approved"), champion=1))
    assert str(champion()) == "1"
    versions.link(client, group(version(1, first, "Rejected")))
    assert champion() is None
    versions.link(client, group(version(1, first, "Rejected"), champion=9))  # approved, but not tracked here
    assert champion() is None


def test_a_run_of_which_two_versions_were_made_names_both(client: Any) -> None:
    run_id = run(client)
    versions.link(client, group(version(1, run_id)))
    found = versions.link(client, group(version(2, run_id, variant="adapter")))
    assert found.registered == {2: "2"}
    assert client.get_run(run_id).data.tags["version"] == f"{GROUP}/1, {GROUP}/2"


def test_a_run_that_is_gone_is_said_and_the_others_are_told(client: Any) -> None:
    gone, deleted, there = "0" * 32, run(client), run(client)
    client.delete_run(deleted)
    found = versions.link(client, group(version(1, gone), version(2, deleted), version(3, there)))
    assert (found.runs, list(found.registered)) == ([3], [3])
    assert found.problems == [
        f"run {gone} of version 1 is not there any more", f"run {deleted} of version 2 is not there any more",
    ]  # fmt: skip


def test_without_its_registry_the_run_says_so_all_the_same(client: Any) -> None:
    run_id = run(client)
    assert versions.link(client, group(version(1, run_id), registry=False)) == Linked(runs=[1])
    assert client.search_registered_models() == []
    assert client.get_run(run_id).data.tags["version"] == f"{GROUP}/1"


def test_a_registry_that_refuses_is_a_line_and_no_failure(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("API request to endpoint /registered-models/create failed with error code 404\nmore")

    monkeypatch.setattr(client, "create_registered_model", refuse)
    found = versions.link(client, group(version(1, run(client))))
    assert found.runs == [1] and found.registered == {}
    (problem,) = found.problems
    assert problem.startswith("MLflow's model registry does not take it: API request to") and "\n" not in problem


# The command


def test_the_command_tells_what_came_of_it(
    uri: str, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = group(version(1, run(client)), champion=1)
    monkeypatch.setattr("sys.stdin", io.StringIO(given.model_dump_json()))
    link_versions.main(["--mlflow_uri", uri])
    assert json.loads(capsys.readouterr().out) == {
        "runs": [1], "registered": {"1": "1"}, "champion": "1", "problems": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "text", "said"),
    [
        ("ftp://me:secret@host", "{}", "--mlflow_uri: ftp://host"),
        ("http://127.0.0.1:9", '{"name": 1, "more": 2}', "standard input: no group to link: "),
    ],
)
def test_a_wrong_input_is_said(uri: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(StepError) as error:
        link_versions.main(["--mlflow_uri", uri])
    assert str(error.value).startswith(said) and "secret" not in str(error.value)


def test_a_server_that_is_down_is_said_in_a_line_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "another's")
    monkeypatch.setattr("sys.stdin", io.StringIO(group(version(1, "0" * 32)).model_dump_json()))
    with pytest.raises(StepError, match=r"^MLflow is not reached: ") as error:
        link_versions.main(["--mlflow_uri", "http://me:s3cr3t@127.0.0.1:9"])
    assert "s3cr3t" not in str(error.value) and "\n" not in str(error.value)
