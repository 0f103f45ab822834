"""A full or read-only disk: the record tells the truth, one line names the disk, and `retry` goes on after that."""

from __future__ import annotations

import errno
import os
import re
import zlib

import pytest

from pipeline import cli
from pipeline.errors import UserError
from pipeline.local.executor import create_execution, run_execution
from pipeline.local.jobs import job
from pipeline.local.state import records
from steps.shared import contract, disks


@pytest.fixture
def full(monkeypatch):
    """`full(after, last)`: whatever is written through to the disk fails, from one write on to another one."""

    def fill(after, last=10**6, number=errno.ENOSPC):
        count = 0
        sync = os.fsync

        def fsync(file):
            nonlocal count
            count += 1
            if after <= count <= last:
                raise OSError(number, os.strerror(number))
            sync(file)

        monkeypatch.setattr(os, "fsync", fsync)

    yield fill
    monkeypatch.undo()


@pytest.fixture
def steps(build):
    """An execution without jobs, so that it takes no time."""
    return build.definition(
        build.condition("One", 1, 1, []), build.condition("Two", 1, 1, []), build.condition("Three", 1, 2, [])
    )


def test_the_room_set_aside_is_room_on_a_file_system_that_compresses(steps, root):
    execution = create_execution(root, "pipe", steps, {})
    content = (records.folder(root, execution.id) / records.RESERVE).read_bytes()
    assert len(content) == records.RESERVE_BYTES and len(zlib.compress(content, 9)) > 0.95 * len(content)


@pytest.mark.parametrize("after", range(1, 20, 2))
def test_a_disk_that_is_full_at_any_write_leaves_a_record_that_tells_it(after, steps, root, full, monkeypatch):
    execution = create_execution(root, "pipe", steps, {})
    full(after)
    said = ""
    try:
        said = run_execution(root, execution.id).failure_reason or ""
    except (OSError, UserError) as error:
        said = disks.told(error) if isinstance(error, OSError) else str(error)
    record = records.load(root, execution.id)
    assert (record.status, record.failure_reason) in (("Failed", records.DISK_FULL), ("Succeeded", None))
    assert record.status == "Succeeded" or f"the disk {disks.mount(root)} is full (" in said
    monkeypatch.undo()
    assert run_execution(root, execution.id).status == "Succeeded"


def test_the_room_that_is_set_aside_takes_the_record_when_the_disk_is_full(steps, root, full):
    execution = create_execution(root, "pipe", steps, {})
    place = records.folder(root, execution.id) / records.RESERVE
    assert place.stat().st_size == records.RESERVE_BYTES
    full(1, 1)
    execution.status = "Stopped"
    records.save(root, execution)
    assert records.read(root, execution.id).status == "Stopped" and not place.exists()
    full(1)
    with pytest.raises(OSError, match="No space left"):
        records.save(root, execution)


def test_an_execution_is_not_begun_where_its_record_has_no_room(steps, root, full):
    execution = create_execution(root, "pipe", steps, {})
    (records.folder(root, execution.id) / records.RESERVE).unlink()
    full(1)
    said = r"/reserve: the disk /.* is full \(\d+ MB free\); make room there, then run it again"
    with pytest.raises(UserError, match=said):
        run_execution(root, execution.id)
    assert records.load(root, execution.id).failure_reason == records.DISK_FULL


def test_nothing_is_left_of_an_execution_that_a_full_disk_refused(steps, root, full):
    full(2)
    with pytest.raises(OSError, match="No space left"):
        create_execution(root, "pipe", steps, {})
    assert list((root / "executions").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"the disk /.* is full \(\d+ MB free\); make room there, then run it again"),
        (errno.EROFS, r"the disk /.* is read-only; make it writable, or use another place"),
        (errno.EACCES, r"this user has no permission to read or write it \(Permission denied\)"),
    ],
)
def test_a_command_says_in_one_line_what_a_disk_refused(root, monkeypatch, capsys, number, said):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), str(root / "executions/x"))

    monkeypatch.setattr(records, "load_all", refuse)
    assert cli.main(["list", "--local", "--local-root", str(root)]) == 1
    assert re.fullmatch(rf"error: {root}/executions/x: {said}\n", capsys.readouterr().err)
    with pytest.raises(OSError):
        cli.main(["list", "--local", "--local-root", str(root), "--debug"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RecursionError("maximum recursion depth exceeded"), "a file that was read is nested too deep; with --debug"),
        (RuntimeError("could not determine the home directory for '~/.config'"), "this user has no home folder on"),
    ],
)
def test_other_faults_of_a_machine_or_a_file_are_one_line(root, monkeypatch, capsys, error, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(records, "load_all", fail)
    assert cli.main(["list", "--local", "--local-root", str(root)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_bug_keeps_its_traceback(root, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(records, "load_all", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["list", "--local", "--local-root", str(root)])


class _Library(Exception):
    """What some libraries make of an OSError."""


@pytest.mark.parametrize("kind", ["os", "chained", "hidden"])
def test_a_step_says_in_one_line_what_a_disk_refused(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(contract.ROOT_VARIABLE, str(tmp_path))

    def step():
        full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "weights"))
        if kind == "os":
            raise full
        if kind == "chained":
            raise _Library("writing failed") from full
        raise _Library("Error while serializing: I/O error: No space left on device (os error 28)")

    assert contract.run(step) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("error: ") and "; make room" in said
    assert f"error: {(tmp_path / 'output/failure').read_text()}\n" == said


def test_a_step_that_cannot_even_leave_its_reason_ends_with_it_in_the_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(contract.ROOT_VARIABLE, str(tmp_path))
    (tmp_path / "output").touch()  # no folder, so that nothing can be written there

    def step():
        raise contract.StepError("too many rows")

    assert contract.run(step) == 1 and capsys.readouterr().err == "error: too many rows\n"


def test_a_job_whose_log_had_no_room_is_told_of_the_disk(build, start, monkeypatch, tmp_path):
    monkeypatch.setattr(job, "LOW_BYTES", 2**60)
    failed = start(build.definition(build.processing("P", "raise SystemExit(3)")))
    reason = failed.step("P").failure_reason
    assert reason.startswith(f"exit code 3; the disk {disks.mount(tmp_path)} has only ")
    assert reason.endswith(" MB free: make room there, then retry")
