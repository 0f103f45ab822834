"""Records on disk, the registry, and what a person sees of a run."""

import io
import os
import re
import shutil
import time

import pytest
from rich.console import Console

from pipeline.errors import UserError
from pipeline.local.executor import create_execution, run_execution
from pipeline.local.state import model_packages, records, step_logs
from pipeline.local.state.store import Store
from pipeline.texts import duration, metrics_text
from pipeline.watching.view import shown
from steps.register import folder
from tests.pipeline.registered import unexpected


def test_an_id_looks_like_one_of_aws():
    assert re.fullmatch(r"[a-z0-9]{12}", records.new_id())


def test_executions_come_newest_first(build, root):
    made = []
    for _ in range(3):
        made.append(create_execution(root, "pipe", build.definition(build.fail("F", "x")), {}).id)
        time.sleep(0.01)
    assert [execution.id for execution in records.load_all(root, unexpected)] == made[::-1]
    assert records.newest(root).id == made[-1]


def test_an_unknown_execution_or_step_names_what_there_is(build, root):
    with pytest.raises(UserError, match="there are no executions yet"):
        records.newest(root)
    execution = create_execution(root, "pipe", build.definition(build.fail("RejectModel", "x")), {})
    with pytest.raises(UserError, match=f"there is no execution 'nope'; the newest is {execution.id}"):
        records.load(root, "nope")
    with pytest.raises(UserError, match=r"has no step Reject; did you mean RejectModel\?"):
        execution.step("Reject")


def test_a_record_comes_back_as_it_was_written(build, start, root):
    metrics = {"loss": r"loss=(\S+)"}
    execution = start(build.definition(build.training("T", "print('loss=0.5')", metrics=metrics)))
    assert records.load(root, execution.id) == execution
    assert records.load_definition(root, execution.id)["Version"] == "2020-12-01"


def test_a_step_that_was_killed_before_its_record_was_written_registers_once(build, start, root, repository):
    train = build.training("T", "import os, pathlib; pathlib.Path(os.environ['OPT_ML'], 'model/w').write_text('w')")
    register = build.register("R", {"Get": "Steps.T.ModelArtifacts.S3ModelArtifacts"})
    execution = start(build.definition(train, register))
    execution.status, execution.step("R").status = "Executing", "Executing"
    records.save(root, execution)
    again = run_execution(root, execution.id, repository=repository)
    assert again.status == "Succeeded" and again.step("R").properties["ModelPackageVersion"] == 1
    assert len(model_packages.list_models(root, unexpected)) == 1
    assert start(build.definition(train, register)).step("R").properties["ModelPackageVersion"] == 2


def test_a_registration_that_was_killed_before_its_version_was_whole_goes_on_with_its_number(tmp_path):
    request = {"ModelPackageGroupName": "group"}
    folder.add(tmp_path, request, "group", "account", by="one/R")
    (tmp_path / "group/1/package.json").unlink()
    (tmp_path / "group/2").mkdir()
    (tmp_path / "group/2" / folder.BY).write_bytes(b"\xff damaged")
    numbers = [
        folder.add(tmp_path, request, "group", "account", by)["ModelPackageVersion"] for by in ("two/R", "one/R")
    ]
    assert numbers == [3, 1]


def test_versions_count_up_within_a_group_and_can_be_described(root, tmp_path):
    (tmp_path / "w").write_text("w")
    Store(root).upload(tmp_path / "w", "s3://bucket/model/w")
    request = {
        "ModelPackageGroupName": "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/group",
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://bucket/model/w"}]},
    }
    versions = [model_packages.register(root, request)["ModelPackageVersion"] for _ in range(3)]
    model_packages.register(root, request | {"ModelPackageGroupName": "other"})
    assert versions == [1, 2, 3]
    assert [package["ModelPackageVersion"] for package in model_packages.list_models(root, unexpected, "group")] == [
        3,
        2,
        1,
    ]
    assert len(model_packages.list_models(root, unexpected)) == 4
    package = model_packages.describe(root, "arn:aws:sagemaker:local:000000000000:model-package/group/2")
    assert package == model_packages.describe(root, "group/2")
    assert (package["ModelApprovalStatus"], package["ModelPackageStatus"]) == ("Approved", "Completed")
    with pytest.raises(UserError, match=r"group/9: no such model package"):
        model_packages.describe(root, "group/9")


def test_a_package_whose_model_is_not_there_is_refused(root):
    request = {
        "ModelPackageGroupName": "group",
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://bucket/none"}]},
    }
    with pytest.raises(UserError, match="the model s3://bucket/none does not exist"):
        model_packages.register(root, request)
    with pytest.raises(UserError, match="letters, digits and single -"):
        model_packages.register(root, {"ModelPackageGroupName": ".."})
    assert model_packages.list_models(root, unexpected) == []


TRAIN = "print('step=1 of 2 loss=0.7'); print('step=2 of 2 loss=0.25 accuracy=0.9'); raise SystemExit('boom')"
PATTERNS = {
    "train:step": r"step=(\d+)",
    "train:max_steps": r"of (\d+)",
    "train:loss": r"loss=(\S+)",
    "train:reward_accuracy": r"accuracy=(\S+)",
}


def drawn(build, start, *, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    first = build.processing("P", "")
    with shown(console) as tell:
        start(build.definition(first, build.training("T", TRAIN, metrics=PATTERNS, DependsOn=["P"])), tell)
    return console.file.getvalue()


def test_without_a_terminal_each_change_is_one_plain_line(build, start):
    text = drawn(build, start, terminal=False)
    assert "\x1b" not in text
    head = re.sub(r"[a-z0-9]{12}", "ID", re.sub(r"\d+\.\d s", "0.0 s", text)).splitlines()[:6]
    assert head == [
        "execution ID: Executing",
        "P: Executing",
        "P: Succeeded in 0.0 s",
        "T: Executing",
        "T: step 1/2, loss 0.700",
        "T failed: exit code 1: boom",
    ]
    assert "  boom" in text.splitlines() and "log.txt" in text


def test_on_a_terminal_the_last_table_shows_every_step_and_the_failure_follows(build, start):
    text = drawn(build, start, terminal=True)
    last = text[text.rindex("Failed") :]
    assert re.search(r"✓ +P +\d", last) and re.search(r"✗ +T +\d.*failed", last)
    assert "T failed: exit code 1" in last and "  boom" in last


def test_training_progress_reads_as_step_loss_and_accuracy():
    metrics = {"train:max_steps": 150, "train:step": 12, "train:loss": 0.5123, "eval:reward_accuracy": 0.9}
    assert metrics_text(metrics) == "step 12/150, loss 0.512, held-out reward accuracy 0.900"


@pytest.mark.parametrize(("seconds", "text"), [(0.84, "0.8 s"), (42.4, "42 s"), (187, "3:07"), (3723, "1:02:03")])
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_a_start_that_died_before_its_first_step_says_what_it_said_last(build, root, monkeypatch):
    execution = create_execution(root, "pipe", build.definition(build.fail("F", "x")), {})
    log = records.folder(root, execution.id) / records.RUN_LOG
    log.write_text("Traceback (most recent call last):\n  File ...\nModuleNotFoundError: No module named 'rich'\n\n")
    assert records.load(root, execution.id).status == "Executing"
    monkeypatch.setattr(records, "START_SECONDS", 0)
    dead = records.load(root, execution.id)
    assert (dead.status, dead.failure_reason) == (
        "Failed",
        "it ended before its first step: ModuleNotFoundError: No module named 'rich'",
    )


def test_logs_are_found_after_the_root_was_moved(build, start, root, tmp_path):
    execution = start(build.definition(build.processing("P", "print('hello')")))
    root.rename(tmp_path / "moved")
    assert list(step_logs.lines(tmp_path / "moved", execution.id, "P", follow=True)) == ["hello"]
    (tmp_path / "executions").mkdir()
    (tmp_path / "moved").rename(tmp_path / "executions" / "again")
    again = records.read(tmp_path / "executions" / "again", execution.id)
    again.steps[0].log = str(tmp_path / "executions" / "gone" / again.steps[0].log.partition("/local/")[2])
    records.save(tmp_path / "executions" / "again", again)
    assert list(step_logs.lines(tmp_path / "executions" / "again", execution.id, "P", follow=False)) == ["hello"]
    (tmp_path / "executions" / "again").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved/executions" / execution.id / "jobs")
    with pytest.raises(UserError, match=r"moved/executions/.*/jobs/P/log.txt: the log of step P is gone"):
        list(step_logs.lines(tmp_path / "moved", execution.id, None, follow=False))


def test_a_user_whom_the_machine_has_no_name_for_decides_by_number(root, tmp_path, monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 12345")

    registered = folder.add(root / "registry", {"ModelPackageGroupName": "group"}, "group", records.ACCOUNT)
    assert registered["ModelPackageVersion"] == 1
    monkeypatch.setattr("getpass.getuser", unknown)
    model_packages.decide(root, "group/1", "Approved", "fine")
    decided = model_packages.describe(root, "group/1")
    assert decided["LastModifiedBy"] == {"UserProfileName": f"user {os.getuid()}"}
