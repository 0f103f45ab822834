"""models, approve, reject, compare and try on a made-up local registry, in this process; nothing is generated."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from pipeline import cli
from pipeline.local.state.store import Store
from steps.shared.served_files import OF_APPROVAL, OF_MODEL
from tests import judged
from tests.pipeline.registered import BASE, BUCKET, GROUP, register

MARGINS = {"a": 1.0, "b": 2.0, "x": -1.0}
EXITED = subprocess.CompletedProcess([], 7)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    register(tmp_path, MARGINS, variant="merged", arguments={"beta": 0.1, "model_id": "/one/input/data/model"})
    register(tmp_path, {**MARGINS, "x": 3.0}, arguments={"beta": 0.2, "model_id": "/two/input/data/model"})
    return tmp_path


@pytest.fixture
def command(root: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command on the registry: exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--local", "--local-root", str(root)])
        return code, *capfd.readouterr()

    return call


def package(root: Path, version: int) -> dict:
    return json.loads((root / "registry" / GROUP / str(version) / "package.json").read_text())


def test_a_version_is_approved_with_its_note_and_becomes_the_champion(command: Command, root: Path) -> None:
    before = package(root, 1)
    code, out, _ = command("approve", "1", "--note", "answers [well]")
    assert code == 0
    assert out == (
        f"{GROUP} version 1: PendingManualApproval -> Approved; the champion is version 1\n"
        f'ask it something: python pipeline.py try 1 "Hello" --local --local-root {root}\n'
    )
    after = package(root, 1)
    assert (after["ModelApprovalStatus"], after["ApprovalDescription"]) == ("Approved", "answers [well]")
    assert after["LastModifiedTime"] > before["CreationTime"] and after["LastModifiedBy"]["UserProfileName"]
    facts = before["CustomerMetadataProperties"]
    assert after["CustomerMetadataProperties"] == facts | {OF_APPROVAL: facts[OF_MODEL]}
    kept = before.keys() - {"ModelApprovalStatus", "CustomerMetadataProperties"}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    newest, oldest = json.loads(command("models", "--json")[1])
    assert (oldest["note"], oldest["champion"], newest["champion"]) == ("answers [well]", True, False)
    shown = command("models")[1]
    assert "Approved, champion" in shown and "answers [well]" in shown


def test_the_newest_approved_version_is_the_champion_whenever_it_was_approved(command: Command) -> None:
    assert "the champion is version 2" in command("approve", "latest")[1]
    assert "the champion is version 2" in command("approve", "1")[1]
    assert "Approved -> Rejected; the champion is version 1" in command("reject", "approved", "--note", "rude")[1]
    assert "there is no approved version" in command("reject", "1")[1]


def test_to_approve_again_says_so_and_changes_nothing(command: Command, root: Path) -> None:
    command("approve", "1", "--note", "good")
    before = package(root, 1)
    for words in (["1"], ["1", "--note", "good"]):
        code, out, _ = command("approve", *words)
        assert code == 0
        assert out.startswith(f"{GROUP} version 1 is Approved already, with the note 'good'; nothing was changed\n")
    assert package(root, 1) == before
    assert "its note is now 'better'" in command("approve", "1", "--note", "better")[1]
    assert package(root, 1)["ApprovalDescription"] == "better"


def test_a_rejection_without_a_note_does_not_keep_that_of_the_approval(command: Command) -> None:
    command("approve", "1", "--note", "good")
    document = json.loads(command("reject", "1", "--json")[1])
    assert (document["approval_status"], document["was"], document["note"]) == ("Rejected", "Approved", None)
    assert document["was_note"] == "good"


@pytest.mark.parametrize("name", ["3", "0", "v1", "newest"])
def test_an_unknown_version_lists_those_that_there_are(command: Command, root: Path, name: str) -> None:
    code, _, err = command("approve", name)
    assert (code, err) == (
        1,
        f"error: {GROUP}: there is no version {name!r}; there are 2 (PendingManualApproval), 1 (PendingManualApproval)."
        f" Name one, or latest, or approved; see them: python pipeline.py models --local --local-root {root}\n",
    )


def test_a_slip_in_a_word_for_a_version_is_seen(command: Command) -> None:
    assert "there is no version 'lastest'; did you mean latest; there are" in command("approve", "lastest")[2]


def test_approved_means_nothing_before_one_is(command: Command, root: Path) -> None:
    code, _, err = command("compare", "approved", "latest")
    assert (code, err) == (
        1,
        f"error: {GROUP}: no version is approved; approve one: "
        f"python pipeline.py approve 2 --local --local-root {root}\n",
    )


def test_a_version_whose_files_are_gone_is_not_approved(command: Command, root: Path) -> None:
    shutil.rmtree(Store(root).path(f"{BUCKET}/run-{GROUP}-2/serving/"))
    code, _, err = command("approve", "2")
    assert code == 1
    assert err.startswith(f"error: {GROUP} version 2 cannot be approved: its model is gone (s3://")
    assert err.endswith(f"reject it: python pipeline.py reject 2 --local --local-root {root}\n")
    assert package(root, 2)["ModelApprovalStatus"] == "PendingManualApproval"
    assert command("reject", "2")[0] == 0


def test_a_note_that_the_registry_does_not_take_changes_nothing(command: Command, root: Path) -> None:
    before = package(root, 1)
    for note in ("x" * 1025, "two\nlines"):
        code, _, err = command("reject", "1", "--note", note)
        assert code == 1 and err.startswith("error: --note: must be one line of at most 1024 characters")
    assert package(root, 1) == before


def test_groups_are_told_apart_and_named_where_the_workflow_has_none(command: Command, root: Path) -> None:
    register(root, MARGINS, group="other")
    assert "the champion is version 1" in command("approve", "latest", "--group", "other")[1]
    listed = json.loads(command("models", "--json")[1])
    assert {(entry["group"], entry["version"]) for entry in listed if entry["champion"]} == {("other", 1)}
    assert len(json.loads(command("models", "--group", GROUP, "--json")[1])) == 2
    code, _, err = command("approve", "1", "--group", "absent")
    assert code == 1
    assert err == f"error: absent: no version is registered in {root}; name one of {GROUP}, other with --group\n"


def test_two_versions_are_compared_on_the_same_rows(command: Command) -> None:
    code, out, err = command("compare", "1", "2", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["same_rows"] is True
    assert document["paired"] == {
        "rows": 3, "both": 2, "first_only": 0, "second_only": 1, "neither": 0, "p_value": 1.0, "median_gain": 0.0,
    }  # fmt: skip
    assert document["differing"] == {"facts": {"variant": ["merged", "adapter"]}, "arguments": {"beta": [0.1, 0.2]}}
    assert [side["after"]["reward_accuracy"] for side in document["versions"]] == [2 / 3, 1.0]
    assert document["notes"] == ["The held-out rows are the same 3."]


def test_a_version_is_not_compared_with_itself(command: Command) -> None:
    code, out, err = command("compare", "2", "2")
    assert (code, out) == (1, "")
    assert "2 and 2 are both version 2; name two versions; see the others: python pipeline.py models" in err


def test_a_comparison_shows_both_sides_and_draws_them(command: Command, tmp_path: Path) -> None:
    picture = tmp_path / "plot.png"
    code, out, err = command("compare", "1", "2", "--plot", str(picture))
    assert code == 0, err
    for line in (
        r"reward accuracy +0.500 -> 0.667 \[0.208, 0.939\] +0.500 -> 1.000 \[0.439, 1.000\]",
        r"tools: with +1.000 \[0.342, 1.000\] of 2 rows +1.000",
        r"beta +0.1 +0.2\s*$",
    ):
        assert re.search(line, out, re.MULTILINE), (line, out)
    assert "No difference can be told (of 3 rows only version 1 is right on 0, only version 2 on 1;" in out
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    assert err == f"plot written to {picture}\n"
    assert [path.name for path in tmp_path.glob("plot*")] == ["plot.png"]


def test_answers_of_two_versions_are_read_checked_and_shown(command: Command, root: Path) -> None:
    answers = judged.rows(12)
    for _ in range(2):
        register(root, MARGINS, answers=answers, served={"evaluated": True, "same": True, "form": "the base"})
    code, out, err = command("compare", "3", "4", "--answers", "2")
    assert code == 0, err
    assert "Both are compared in the form that is served." in out and "Calls: No difference can be told (of 8" in out
    assert "Answers, 2 of 12, the worst first" in out and out.count("Chosen answer") == 2
    document = json.loads(command("compare", "3", "4", "--answers", "1", "--json")[1])
    assert document["calls"] == {"rows": 8, "first_only": 0, "second_only": 0, "p_value": 1.0}
    (shown,) = document["answers"]
    assert [one["faults"] for one in shown["answers"]] == [["unfinished", "repetitive"]] * 2
    assert "No prompt was answered by both versions." in command("compare", "1", "4", "--answers", "2")[1]

    path = Store(root).path(f"{BUCKET}/run-{GROUP}-4/decision/answers.jsonl")
    path.write_text(path.read_text().replace("Monday", "Friday"))
    code, _, err = command("compare", "3", "4")
    assert code == 1 and "version 4 is not what was registered: in s3://" in err
    assert "answers.jsonl has another content than the registered one" in err
    path.unlink()
    assert "version 4 has no answers (its file is gone)." in command("compare", "3", "4")[1]


@pytest.mark.parametrize(("name", "said"), [("plot.html", "must end in .png"), ("no/plot.png", "there is no folder")])
def test_a_picture_that_cannot_be_written_is_refused_first(command: Command, tmp_path, name: str, said: str) -> None:
    code, out, err = command("compare", "1", "9", "--plot", str(tmp_path / name))
    assert (code, out) == (1, "") and said in err


def test_an_evaluation_that_is_gone_or_none_is_named(command: Command, root: Path) -> None:
    path = Store(root).path(f"{BUCKET}/run-{GROUP}-2/decision/evaluation.json")
    path.write_text('{"beta": 0.1}')
    code, _, err = command("compare", "1", "2")
    assert code == 1 and "version 2 is not what was registered: in s3://" in err
    assert "adapters/dpo/evaluation.json has another content than the registered one" in err
    serving = Store(root).path(f"{BUCKET}/run-{GROUP}-2/serving")
    (serving / "manifest.json").unlink()
    assert "serving manifest.json is missing" in command("compare", "1", "2")[2]
    shutil.rmtree(serving)  # there is nothing to hold it against any more
    code, _, err = command("compare", "1", "2")
    assert code == 1 and f"run-{GROUP}-2/decision/evaluation.json: not an evaluation: before: Field required" in err
    path.unlink()
    assert f"{GROUP} version 2: its evaluation {BUCKET}/run-{GROUP}-2" in command("compare", "1", "2")[2]


@pytest.mark.parametrize(
    ("version", "options", "base", "words"),
    [
        ("1", [], BASE, ["--model={run}1/serving"]),
        ("1", ["--base"], BASE, ["--model={run}1/serving", "--base={base}", "--beside"]),
        ("2", [], BASE, ["--adapter={run}2/serving/adapters/dpo", "--base={base}"]),
        ("2", ["--base"], "Qwen/Qwen3-0.6B@main",
         ["--adapter={run}2/serving/adapters/dpo", "--base=Qwen/Qwen3-0.6B", "--revision=main", "--beside"]),
    ],
)  # fmt: skip
def test_try_names_the_files_of_the_variant(
    command: Command, root: Path, monkeypatch, version: str, options: list[str], base: str, words: list[str]
) -> None:
    store = Store(root)
    store.path(BASE).mkdir(parents=True)
    path = root / "registry" / GROUP / version / "package.json"
    path.write_text(path.read_text().replace(BASE, base))
    started: list[list[str]] = []

    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.append(command) or EXITED)
    code, *_ = command("try", version, "Well?", "--system", "Be brief.", "--temperature", "0.5", *options)
    places = {"run": store.path(f"{BUCKET}/run-{GROUP}-"), "base": store.path(BASE)}
    said = ["--prompt=Well?", "--max-new-tokens=256", "--temperature=0.5", "--system=Be brief."]
    assert started[0].pop(-2) == "--notes-among-words"
    assert started[0][1:-1] == ["-m", "steps.answer", *(word.format(**places) for word in words), *said]
    assert code == 7


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "manifest.json", "chat_template.jinja"])
def test_a_version_whose_files_were_swapped_is_neither_approved_nor_tried(
    command: Command, root: Path, monkeypatch, name: str
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.append(command) or EXITED)
    serving = Store(root).path(f"{BUCKET}/run-{GROUP}-2/serving")
    with open(serving / "adapters" / "dpo" / name, "a") as file:
        file.write(" ")
    for words in (["approve", "2"], ["try", "2", "Well?"]):
        code, _, err = command(*words)
        assert code == 1 and f"{GROUP} version 2 is not what was registered: in " in err
        assert f"adapters/dpo/{name} " in err and f"python pipeline.py reject 2 --local --local-root {root}\n" in err
    assert package(root, 2)["ModelApprovalStatus"] == "PendingManualApproval" and started == []


def test_a_swap_of_the_same_size_is_found_where_every_file_is_read(command: Command, root: Path, monkeypatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: EXITED)
    Store(root).path(f"{BASE}config.json").parent.mkdir(parents=True)
    weights = Store(root).path(f"{BUCKET}/run-{GROUP}-2/serving/adapters/dpo/adapter_model.safetensors")
    assert command("try", "2", "Well?", "--verify")[0] == 7
    weights.write_text("WEIGHTS")
    assert command("try", "2", "Well?")[0] == 7
    code, _, err = command("try", "2", "Well?", "--verify")
    assert code == 1 and "adapters/dpo/adapter_model.safetensors has another content than the registered one" in err


@pytest.mark.parametrize("name", ["latest", "approved"])
def test_a_damaged_version_is_not_passed_over_where_a_name_might_mean_it(command: Command, root, name: str) -> None:
    command("approve", "1")
    command("approve", "2")
    file = root / "registry" / GROUP / "2" / "package.json"
    file.write_text("{")
    for words in (["reject", name], ["compare", "1", name], ["approve", name]):
        code, _, err = command(*words)
        assert code == 1 and f"error: {name} cannot be told: {file}: " in err and "by its number" in err
    assert package(root, 1)["ModelApprovalStatus"] == "Approved"
    assert command("reject", "1")[0] == 0


def test_where_all_versions_are_damaged_it_is_not_said_that_there_are_none(command: Command, root: Path) -> None:
    for file in (root / "registry" / GROUP).glob("*/package.json"):
        file.write_text("")
    code, out, err = command("models")
    assert (code, out) == (0, "") and err.count("left out: ") == 2
    assert command("models", "--json")[1] == "[]\n"


def test_a_version_of_before_is_tried_and_approved_with_a_word(command: Command, root: Path, monkeypatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: EXITED)
    Store(root).path(f"{BASE}config.json").parent.mkdir(parents=True)
    register(root, MARGINS, hashed=False)
    for words, wanted in ((["approve", "3"], 0), (["try", "3", "Well?"], 7)):
        code, _, err = command(*words)
        assert code == wanted and f"{GROUP} version 3 was registered without a hash of its files" in err


def test_try_says_which_files_are_gone(command: Command, root: Path) -> None:
    code, _, err = command("try", "2", "Well?")
    assert code == 1
    assert err.startswith(f"error: {BASE}: nothing is there any more ({Store(root).path(BASE)})")
    assert err.endswith(f"python pipeline.py models --local --local-root {root}\n")


def test_on_aws_the_files_are_fetched_from_s3(root: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    """The local registry's packages and objects, as they are, in moto."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    started: list[str] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.extend(command) or EXITED)
    Store(root).path(f"{BASE}config.json").parent.mkdir(parents=True)
    Store(root).path(f"{BASE}config.json").write_text("{}")
    with mock_aws():
        s3, sagemaker = (boto3.client(name, region_name="us-east-1") for name in ("s3", "sagemaker"))
        s3.create_bucket(Bucket="dpo-bucket")
        for name, path in Store(root).objects("s3://dpo-bucket/"):
            s3.upload_file(str(path), "dpo-bucket", name)
        sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        for number in (1, 2):
            made = package(root, number)
            made["InferenceSpecification"] |= {"SupportedContentTypes": ["a/b"], "SupportedResponseMIMETypes": ["a/b"]}
            made["ModelMetrics"]["ModelQuality"]["Statistics"]["ContentType"] = "application/json"
            keys = ("ModelPackageGroupName", "InferenceSpecification", "ModelMetrics", "CustomerMetadataProperties")
            status = {"ModelApprovalStatus": "PendingManualApproval"}
            sagemaker.create_model_package(**status, **{key: made[key] for key in keys})
        assert cli.main(["compare", "1", "latest", "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["paired"]["second_only"] == 1
        assert cli.main(["try", "2", "Well?", "--local-root", str(tmp_path / "cache")]) == 7
    adapter, base = (Path(word.partition("=")[2]) for word in started[3:5])
    assert (adapter / "adapter_model.safetensors").read_text() == "weights" and (base / "config.json").is_file()
    assert {adapter.parents[2], base.parent} == {tmp_path / "cache" / "downloads"}
