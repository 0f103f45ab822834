"""Damaged and missing files of the local state: the one that it is about is named, all others work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import UserError
from pipeline.local.executor import create_execution, run_execution
from pipeline.local.state import model_packages, records
from pipeline.local.state.damage import Damaged
from pipeline.local.state.store import Store
from tests.pipeline.registered import GROUP, register

Command = Callable[..., tuple[int, str, str]]
OUTPUT = "import os, json; folder = os.environ['OPT_ML'] + '/processing/output/'; "
REPORT = OUTPUT + "open(folder + 'report/report.json', 'w').write(json.dumps({'rows': dict.fromkeys(ROWS, 1)}))"
REPORT = REPORT.replace("ROWS", "'read train validation duplicate quarantined'.split()")
FIGURES = "{'loss': 0.5, 'reward_accuracy': 0.5}"
DECISION = OUTPUT + (
    f"figures = {FIGURES}; judged = {{'rows': 1, 'before': figures, 'after': figures, 'tokenised': {{}}}}; "
    "open(folder + 'decision/evaluation.json', 'w').write(json.dumps(judged)); "
    "open(folder + 'decision/gate.json', 'w').write(json.dumps({'decision': 'pass', 'message': 'well'}))"
)
CONTENTS = pytest.mark.parametrize(
    "content", ["", "\0" * 512, "{", '{"id": 1}', "[]", "null", "[" * 20_000], ids=lambda content: content[:9]
)


@pytest.fixture
def command(root: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command on the local state: exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--local", "--local-root", str(root)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def two(build, root: Path) -> list[str]:
    """Two finished executions: one whose files get damaged, and another."""
    definition = build.definition(
        build.processing("Preprocess", REPORT, outputs=["report"]),
        build.processing("Gate", DECISION, outputs=["decision"]),
    )
    made = [create_execution(root, "pipe", definition, {}).id for _ in range(2)]
    assert run_execution(root, made[1]).status == "Succeeded"
    return made


@CONTENTS
def test_a_damaged_record_is_named_and_the_others_are_listed(command: Command, root, two, content: str) -> None:
    bad, good = two
    file = records.folder(root, bad) / "execution.json"
    file.write_text(content)
    code, out, err = command("list")
    assert code == 0 and good in out and bad not in out
    assert f"left out: {file}: the file of execution {bad} is damaged (" in err
    for verb in ("status", "logs", "retry", "stop", "describe"):
        code, _, err = command(verb, bad)
        assert (code, "Traceback" in err) == (1, False), verb
        assert f"error: {file}: the file of execution {bad} is damaged (" in err and str(file.parent) in err
    assert command("status", good)[0] == 0


def test_an_execution_whose_record_is_gone_is_named_and_the_others_are_listed(command: Command, root, two) -> None:
    bad, good = two
    file = records.folder(root, bad) / "execution.json"
    file.unlink()
    code, out, err = command("list")
    assert code == 0 and good in out and bad not in out
    assert err.startswith(f"left out: {file}: the file of execution {bad} is gone; restore it, or remove the folder ")
    assert command("status", bad)[2].startswith(f"error: {file}: the file of execution {bad} is gone")
    (file.parent / "definition.json").unlink()
    assert f"the file of execution {bad} is gone" in command("list")[2]


@pytest.mark.parametrize("name", ["..", ".", "../executions", ""])
def test_no_folder_but_an_executions_is_told_to_be_removed(command: Command, two, name: str) -> None:
    assert "remove" not in command("status", name)[2]


@pytest.mark.parametrize("content", ["", "\0" * 100])
def test_a_file_that_a_crash_cut_says_so(command: Command, root, two, content: str) -> None:
    (records.folder(root, two[0]) / "execution.json").write_text(content)
    assert "damaged (it is empty: the machine may have stopped while it was written)" in command("list")[2]


def test_what_executions_left_may_be_gone_altogether(command: Command, root, two) -> None:
    shutil.rmtree(root / "s3")
    code, out, _ = command("list")
    assert code == 0 and set(two) <= set(out.split())
    for verb in ("status", "describe", "retry"):
        code, _, err = command(verb, two[1])
        assert (code, "Traceback" in err) == (0, False), verb


@pytest.mark.parametrize("content", [None, "", "{", "null", "[]", "{}", '{"Steps": [], "Parameters": [1]}'])
def test_a_damaged_or_missing_definition_is_named(command: Command, root, two, content: str | None) -> None:
    bad, good = two
    file = records.folder(root, bad) / "definition.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert {bad, good} <= set(command("list")[1].split())
    for verb in ("describe", "retry"):
        code, _, err = command(verb, bad)
        assert (code, "Traceback" in err) == (1, False), verb
        assert f"error: {file}: the definition of execution {bad} is gone" in err or f"{file}: the file of the" in err


@CONTENTS
def test_a_damaged_version_is_named_and_the_others_are_found(command: Command, root, content: str) -> None:
    for _ in range(2):
        register(root, {"a": 1.0})
    file = model_packages.home(root) / GROUP / "1" / "package.json"
    file.write_text(content)
    code, out, err = command("models")
    assert code == 0 and out.count(GROUP) == 1
    assert f"left out: {file}: the file of version 1 of {GROUP} is damaged (" in err
    assert command("approve", "2")[0] == 0
    code, _, err = command("approve", "1")
    assert code == 1 and f"error: {file}: the file of version 1 of {GROUP} is damaged (" in err
    assert register(root, {"a": 1.0})["ModelPackageVersion"] == 3


def test_a_version_whose_package_is_gone_is_named_and_the_others_are_found(command: Command, root) -> None:
    for _ in range(2):
        register(root, {"a": 1.0})
    file = model_packages.home(root) / GROUP / "1" / "package.json"
    file.unlink()
    code, out, err = command("models")
    gone = f"{file}: the file of version 1 of {GROUP} is gone; restore it, or remove the folder {file.parent}"
    assert code == 0 and out.count(GROUP) == 1 and f"left out: {gone}" in err
    assert command("approve", "2")[0] == 0
    code, _, err = command("approve", "1")
    assert code == 1 and err.startswith(f"error: {gone}")
    assert register(root, {"a": 1.0})["ModelPackageVersion"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"CreationTime": None},
        {"CreationTime": "yesterday"},
        {"CreationTime": "2026-01-01T00:00:00"},
        {"InferenceSpecification": "x"},
        {"CustomerMetadataProperties": ["x"]},
        {"ModelPackageVersion": "1"},
    ],
)
def test_a_version_of_wrong_values_is_named_and_the_others_are_found(command: Command, root, change: dict) -> None:
    for _ in range(2):
        register(root, {"a": 1.0})
    file = model_packages.home(root) / GROUP / "1" / "package.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    code, out, err = command("models")
    assert code == 0 and out.count(GROUP) == 1
    assert f"left out: {file}: the file of version 1 of {GROUP} is damaged (" in err


def test_a_lock_that_is_a_folder_is_named(command: Command, root, two) -> None:
    lock = records.folder(root, two[0]) / "lock"
    lock.mkdir()
    code, _, err = command("retry", two[0])
    assert code == 1 and f"error: {lock}: the lock of execution {two[0]} must be a file" in err


@CONTENTS
def test_a_damaged_cache_entry_is_no_hit_and_is_written_anew(build, start, root, content: str) -> None:
    definition = build.definition(build.processing("P", "", CacheConfig={"Enabled": True, "ExpireAfter": "P30D"}))
    assert not start(definition).step("P").cached
    (file,) = (root / "cache").iterdir()
    file.write_text(content)
    assert not start(definition).step("P").cached
    assert start(definition).step("P").cached


def test_what_a_finished_execution_left_may_be_gone(command: Command, root, two) -> None:
    code, out, _ = command("retry", two[1])
    assert code == 0 and "1 read, 2 valid" in out and "pass: well" in out and "gone" not in out
    report = Store(root).path(f"s3://bucket/{two[1]}/Preprocess/report/report.json")
    report.unlink()
    code, out, err = command("retry", two[1])
    assert code == 0 and "Traceback" not in err
    assert f"gone             {report}\n" in out and "pass: well" in out and "1 read" not in out


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"rows": 3}'])
@pytest.mark.parametrize(
    ("step", "output", "name"),
    [
        ("Preprocess", "report", "report.json"),
        ("Gate", "decision", "evaluation.json"),
        ("Gate", "decision", "gate.json"),
    ],
)
def test_a_damaged_output_is_named_beside_what_can_be_read(
    command: Command, root, two, step: str, output: str, name: str, content: str
) -> None:
    file = Store(root).path(f"s3://bucket/{two[1]}/{step}/{output}/{name}")
    file.write_text(content)
    code, out, err = command("retry", two[1])
    assert code == 0 and "Traceback" not in err
    assert f"damaged          {file}: the file of the output {output} of {step} is damaged (" in out
    assert "restore it, or start another execution; remove nothing" in out and "remove the folder" not in out
    assert ("1 read, 2 valid" in out, "held-out loss" in out, "pass: well" in out) == (
        name != "report.json",
        name != "evaluation.json",
        name != "gate.json",
    )


def test_steps_without_properties_are_named(command: Command, root, two) -> None:
    file = records.folder(root, two[1]) / "execution.json"
    record = json.loads(file.read_text())
    for step in record["steps"]:
        step["properties"] = {}
    condition = {"name": "NoNewData", "type": "Condition", "status": "Succeeded"}
    package = {"name": "RegisterModel", "type": "RegisterModel", "status": "Succeeded"}
    file.write_text(json.dumps(record | {"steps": [*record["steps"], condition, package]}))
    code, out, err = command("retry", two[1])
    assert code == 0 and "Traceback" not in err
    for name in ("Preprocess", "Gate", "NoNewData", "RegisterModel"):
        assert f"damaged          {file}: the properties of step {name} are damaged (" in out


def test_a_registry_that_takes_no_version_says_that_what_training_made_is_still_there(root: Path) -> None:
    root.mkdir(exist_ok=True)
    model_packages.home(root).write_text("a file where the folder of versions should be")
    with pytest.raises(
        UserError, match=r"cannot be stored in .*, then retry the execution: what training made is still"
    ):
        register(root, {"a": 1.0})


def test_a_damaged_file_says_what_is_wrong_in_one_line(root) -> None:
    register(root, {"a": 1.0})
    file = model_packages.home(root) / GROUP / "1" / "package.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Damaged) as error:
        model_packages.describe(root, f"{GROUP}/1")
    assert "\n" not in str(error.value) and str(file.parent) in str(error.value)


def test_two_decisions_at_once_have_one_order(root: Path) -> None:
    arn = register(root, {"a": 1.0})["ModelPackageArn"]
    seen = model_packages.describe(root, arn)["ModelApprovalStatus"]
    model_packages.decide(root, arn, "Rejected", "bad", was=seen)
    with pytest.raises(
        UserError, match=r"was PendingManualApproval, and \S+ has made it Rejected meanwhile; nothing was"
    ):
        model_packages.decide(root, arn, "Approved", "good", was=seen)
    assert model_packages.describe(root, arn)["ApprovalDescription"] == "bad"
