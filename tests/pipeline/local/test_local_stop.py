"""Stopping, and dying: whatever ends an execution, no process of a job outlives it and the record tells the truth."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.errors import UserError
from pipeline.files import ROOT
from pipeline.local.executor import create_execution, run_execution
from pipeline.local.jobs import earlier
from pipeline.local.jobs.nodes import Node, StopRequest, run_nodes, stop_on_signals
from pipeline.local.run import run_log, start_detached
from pipeline.local.state import records, step_logs
from pipeline.local.state.store import Store
from pipeline.watching.watch import Notice

# A training that starts a process of its own, tells both ids, and saves a checkpoint when it is told to end.
TRAIN = """
import os, pathlib, signal, subprocess, sys, time
ml = pathlib.Path(os.environ["OPT_ML"])
if (ml / "checkpoints/saved").exists():
    sys.exit(0)
def save(number, frame):
    (ml / "checkpoints/saved").write_text("yes")
    sys.exit(1)
signal.signal(signal.SIGTERM, save)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
(ml / "checkpoints/beside").write_text(f"{os.getpid()} {child.pid}")
(ml / "checkpoints/beside").rename(ml / "checkpoints/pids")
time.sleep(60)
"""
CHECKPOINTS = "s3://bucket/checkpoints/"


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def gone(pid):
    """Ended, or a zombie that its new parent has not collected yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def execution(build, root):
    train = build.training("T", TRAIN, checkpoints=CHECKPOINTS)
    return create_execution(root, "pipe", build.definition(train, build.processing("P", "", DependsOn=["T"])), {})


@pytest.fixture
def run_process(execution, root):
    """The execution in a process of its own, once its job runs; and the ids of the job's processes."""
    process = start_detached(root, execution.id)
    try:
        pids = wait_for(lambda: (path := Store(root).path(CHECKPOINTS) / "pids").exists() and path.read_text())
        yield process, [int(pid) for pid in pids.split()]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_children_and_leaves_the_execution_stopped(number, run_process, execution, root, states):
    process, pids = run_process
    process.send_signal(number)
    assert process.wait(timeout=20) == 130
    assert all(gone(pid) for pid in pids)
    record = records.load(root, execution.id)
    assert record.status == "Stopped" and states(record) == {"T": "Stopped", "P": "Pending"}
    assert (Store(root).path(CHECKPOINTS) / "saved").read_text() == "yes"
    assert run_execution(root, execution.id).status == "Succeeded"


def test_a_detached_execution_can_be_stopped_by_its_id(run_process, execution, root):
    process, _ = run_process
    assert records.load(root, execution.id).status == "Executing"
    records.stop(root, execution.id)
    assert process.wait(timeout=20) == 130
    assert "T: Stopped" in run_log(root, execution.id).read_text()
    with pytest.raises(UserError, match="is not running, it is Stopped"):
        records.stop(root, execution.id)


def test_the_process_that_has_just_begun_is_stopped_and_not_the_one_before(execution, root, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "kill", lambda *words: asked.append(words))
    execution.pid, execution.status = 1, "Failed"  # as the last attempt has left it
    records.save(root, execution)
    with records.running(root, execution.id):
        records.stop(root, execution.id)
    assert asked == [(os.getpid(), signal.SIGTERM)]


def test_one_that_ends_while_it_is_asked_to_stop_is_not_running(execution, root, monkeypatch):
    def gone_by_now(*_):
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone_by_now)
    with records.running(root, execution.id), pytest.raises(UserError, match="is not running, it is Executing"):
        records.stop(root, execution.id)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_a_killed_executor_leaves_no_training_behind_and_does_not_look_alive(
    run_process, execution, root, states, monkeypatch
):
    process, pids = run_process
    process.kill()
    process.wait()
    wait_for(lambda: gone(pids[0]))
    record = records.load(root, execution.id)
    assert record.status == "Failed" and states(record)["T"] == "Failed"
    assert record.failure_reason == "the process that ran it is gone (killed, or the machine restarted)"
    monkeypatch.setattr(earlier, "LEFT_SECONDS", 0.2)
    assert run_execution(root, execution.id).status == "Succeeded"
    assert gone(pids[1])  # the training's own child, as a container would have ended it


def run(code, tmp_path, stop, **more):
    node = Node("127.0.0.1", [sys.executable, "-c", code], dict(os.environ))
    lines = []
    outcome = run_nodes(
        [node], cwd=tmp_path, log=tmp_path / "log", stop=stop, on_line=lines.append, on_stop=lambda: None, **more
    )
    return outcome, lines


def test_a_nodes_group_is_killed_once_when_its_exit_code_appears(tmp_path, monkeypatch):
    """Later the number may be that of someone else's group."""
    sent = []
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append((group, number)))
    programs = ("", "import time; time.sleep(0.3)")
    nodes = [Node(f"n{place}", [sys.executable, "-c", code], os.environ) for place, code in enumerate(programs)]
    ignore = {"on_line": lambda line: None, "on_stop": lambda: None}
    outcome = run_nodes(nodes, cwd=tmp_path, log=tmp_path / "log", stop=StopRequest(), **ignore)
    assert outcome.codes == [0, 0]
    assert [number for _, number in sent] == [signal.SIGKILL] * 2 and len(dict(sent)) == 2


def run_again_after_a_kill(build, root, code):
    """A training's execution whose executor is killed once it runs, and which is then run to its end."""
    train = build.training("T", code, checkpoints=CHECKPOINTS)
    execution = create_execution(root, "pipe", build.definition(train), {})
    process = start_detached(root, execution.id)
    wait_for(lambda: (Store(root).path(CHECKPOINTS) / "pids").exists())
    process.kill()
    process.wait()
    told = []
    ended = run_execution(root, execution.id, told.append)
    waits = [event.text for event in told if isinstance(event, Notice)]
    assert all(text.startswith("T: waiting for processes of the attempt before") for text in waits) and len(waits) < 2
    if waits:
        assert waits[0].removeprefix("T: ") in list(step_logs.lines(root, execution.id, "T", follow=False))
    return ended


LINGERING = """
import os, pathlib, signal, sys, time
ml = pathlib.Path(os.environ["OPT_ML"])
if (ml / "checkpoints/saved").exists():
    sys.exit(0)
signal.signal(signal.SIGTERM, lambda number, frame: None)
(ml / "checkpoints/pids").write_text(f"{os.getpid()} {os.getpid()}")
until = time.time() + 2
while time.time() < until:
    time.sleep(0.1)
(ml / "checkpoints/saved").write_text("late")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_a_retry_waits_for_what_a_killed_executor_left_running(build, root):
    assert run_again_after_a_kill(build, root, LINGERING).status == "Succeeded"
    assert (Store(root).path(CHECKPOINTS) / "saved").read_text() == "late"


TALKING = """
import os, pathlib, signal, sys, time
ml = pathlib.Path(os.environ["OPT_ML"])
if (ml / "checkpoints/saved").exists():
    sys.exit(0)
def save(number, frame):
    time.sleep(0.5)
    for line in range(2000):
        print("step", line, "a line of a log that nobody reads any more", flush=True)
    (ml / "checkpoints/saved").write_text("yes")
    sys.exit(1)
signal.signal(signal.SIGTERM, save)
(ml / "checkpoints/pids").write_text("1")
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_a_training_whose_executor_was_killed_saves_its_work_though_nobody_reads_what_it_prints(build, root):
    assert run_again_after_a_kill(build, root, TALKING).status == "Succeeded"
    assert (Store(root).path(CHECKPOINTS) / "saved").read_text() == "yes"


ESCAPING = """
import os, pathlib, subprocess, sys, time
ml = pathlib.Path(os.environ["OPT_ML"])
code = "import os, time; os.setsid(); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, close_fds=True)
(ml / "checkpoints/pid").write_text(str(child.pid))
raise SystemExit(3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process of another session belongs to")
def test_a_process_with_a_session_of_its_own_ends_with_its_job(build, root):
    execution = create_execution(
        root, "pipe", build.definition(build.training("T", ESCAPING, checkpoints=CHECKPOINTS)), {}
    )
    assert run_execution(root, execution.id).step("T").failure_reason.startswith("exit code 3")
    pid = int((Store(root).path(CHECKPOINTS) / "pid").read_text())
    wait_for(lambda: gone(pid), 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process of another session belongs to")
def test_a_retry_ends_a_process_that_outlived_those_that_hold_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(earlier, "LEFT_SECONDS", 0.2)
    with earlier.lock(tmp_path):
        pass
    environment = os.environ | {"OPT_ML": str(tmp_path / "ml")}
    child = subprocess.Popen([sys.executable, "-IS", "-c", "import time; time.sleep(60)"], env=environment)
    others = subprocess.Popen(
        [sys.executable, "-IS", "-c", "import time; time.sleep(60)"], env=environment | {"OPT_ML": f"{tmp_path}-2/ml"}
    )
    try:
        threading.Timer(0.1, child.wait).start()  # as its new parent would collect it
        earlier.wait(tmp_path, lambda: False)
        assert child.wait(timeout=5) == -signal.SIGKILL and others.poll() is None
    finally:
        for process in (child, others):
            process.kill()
            process.wait()


def test_a_retry_does_not_wait_for_ever(tmp_path):
    said = []
    with earlier.lock(tmp_path), pytest.raises(UserError, match=r"attempt before still run, .* fuser -v .*; end them"):
        earlier.wait(tmp_path, lambda: False, seconds=0.2, tell=said.append)
    earlier.wait(tmp_path, lambda: False, seconds=0.2, tell=said.append)
    assert said == ["waiting for processes of the attempt before, whose executor was killed: 0.2 s at most"]


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def test_who_ignores_the_request_is_killed_after_the_grace(tmp_path):
    outcome, _ = run(STUBBORN, tmp_path, StopRequest(), limit_seconds=0.5, grace_seconds=0.5)
    assert (outcome.ending, outcome.codes) == ("timeout", [-signal.SIGKILL])


def test_asking_twice_kills_at_once(tmp_path):
    stop = StopRequest()
    stop.ask()
    stop.ask()
    outcome, _ = run(STUBBORN, tmp_path, stop)
    assert outcome.ending == "stopped"


@pytest.mark.parametrize(("number", "count"), [(signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGHUP, 1)])
def test_only_a_second_ctrl_c_insists(number, count):
    with stop_on_signals() as stop:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        wait_for(lambda: stop.count == count, 5)


def test_what_a_job_leaves_running_ends_with_it(tmp_path):
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    outcome, lines = run(code, tmp_path, StopRequest())
    assert outcome.codes == [0]
    wait_for(lambda: gone(int(lines[0])), 5)


def test_all_that_a_job_prints_is_in_its_log(tmp_path):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.stdout.buffer.write(b'\\xff\\r50%\\r100%')"
    _, lines = run(code, tmp_path, StopRequest())
    assert sorted((tmp_path / "log").read_bytes().split(b"\n")) == [b"err", b"out", b"\xff\r50%\r100%"]
    assert sorted(lines) == ["err", "out", "\ufffd\r50%\r100%"]


def test_a_command_that_does_not_exist_is_a_clear_error(tmp_path):
    node = Node("127.0.0.1", ["no-such-program"], {"PATH": "/usr/bin"})
    with pytest.raises(UserError, match="cannot start 'no-such-program': there is no such program"):
        run_nodes(
            [node],
            cwd=tmp_path,
            log=tmp_path / "log",
            stop=StopRequest(),
            on_line=print,
            on_stop=lambda: None,
        )


def test_the_module_says_what_is_wrong_and_exits_with_1(root):
    command = [sys.executable, "-m", "pipeline.local.run", "missing", "--root", str(root)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == f"error: {root}: there is no execution 'missing'; there are none yet\n"
