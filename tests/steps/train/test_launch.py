"""The container's entry: the job's world becomes a torchrun command; mistakes are said before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.train import launch


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-1")
    for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text("{}")
    write_world(tmp_path, ["algo-1"], "algo-1")
    recipe = tmp_path / "input" / "data" / "config"
    recipe.mkdir(parents=True)
    (recipe / "args.yaml").write_text("model_id: m\n")
    return tmp_path


def write_world(root: Path, hosts: list[str], current: str) -> None:
    world = {"hosts": hosts, "current_host": current, "network_interface_name": "eth7"}
    (root / "input" / "config" / "resourceconfig.json").write_text(json.dumps(world))


def test_one_node_needs_no_rendezvous_address_and_no_network(job: Path) -> None:
    assert launch.torchrun(4)[1:] == ["-m", "steps.train.torchrun", "--nproc-per-node=4", "--shutdown-timeout=115"]
    assert "GLOO_SOCKET_IFNAME" not in os.environ


def test_the_nodes_of_a_local_run_meet_on_loopback(job: Path) -> None:
    write_world(job, ["127.0.0.1", "127.0.0.2"], "127.0.0.2")
    command = launch.torchrun(2)
    assert command[2] == "steps.train.torchrun"
    assert {"--nnodes=2", "--node-rank=1", "--master-addr=127.0.0.1"} <= set(command)


def test_every_node_of_a_job_meets_at_the_same_place(job: Path) -> None:
    commands = []
    for host in ("algo-2", "algo-1"):
        write_world(job, ["algo-2", "algo-1"], host)
        commands.append(launch.torchrun(8))
    ranks = [next(word for word in command if word.startswith("--node-rank")) for command in commands]
    assert ranks == ["--node-rank=1", "--node-rank=0"]
    assert all(command[2] == "steps.train.elastic" for command in commands)
    assert os.environ["GLOO_SOCKET_IFNAME"] == os.environ["NCCL_SOCKET_IFNAME"] == "eth7"
    shared = [[word for word in command if not word.startswith("--node-rank")] for command in commands]
    assert shared[0] == shared[1]
    assert "--master-addr=algo-1" in shared[0] and "--nnodes=2" in shared[0]


@pytest.mark.parametrize("wanted", ["0", "-1", "many"])
def test_a_wrong_number_of_processes_is_refused(job: Path, wanted: str) -> None:
    with pytest.raises(StepError, match="write auto or a number above 0"):
        launch.process_count(wanted)


def test_auto_is_a_process_per_gpu_and_one_without(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    assert launch.process_count("auto") == 8
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert launch.process_count("auto") == 1


def test_a_wrong_hyperparameter_is_left_as_the_failure_reason(run, job: Path) -> None:
    (job / "input" / "config" / "hyperparameters.json").write_text('{"beta": "0", "max_lenght": "512"}')
    done = run("-m", "steps.train.launch", OPT_ML=str(job))
    assert done.returncode == 1
    reason = (job / "output" / "failure").read_text()
    assert "beta: must be greater than 0" in reason
    assert "max_lenght: unknown key; did you mean max_length?" in reason
    assert done.stderr == f"error: {reason}\n"


STARTER = """
import subprocess, sys, time
code = "from steps.train import launch; launch.ORPHAN_SECONDS = 1; launch.run(sys.argv[1:])"
subprocess.Popen([*tied(signal.SIGTERM), sys.executable, "-c", "import sys; " + code, *sys.argv[1:]])
time.sleep(60)
"""
BUSY = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path(sys.argv[1], "asked").touch())
pathlib.Path(sys.argv[1], "pid").write_text(str(os.getpid()))
while True:
    time.sleep(0.1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_what_does_not_end_by_itself_is_killed_where_whoever_started_the_launcher_is_gone(tmp_path: Path) -> None:
    imports = "import signal; from steps.train.runtime.tied import tied\n"
    words = [sys.executable, "-c", imports + STARTER, sys.executable, "-c", BUSY, str(tmp_path)]
    starter = subprocess.Popen(words)
    until = time.monotonic() + 40

    def alive(pid: int) -> bool:
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"

    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)  # the id is written; the launcher has its handlers by now
    pid = int((tmp_path / "pid").read_text())
    starter.kill()
    starter.wait()
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid) and (tmp_path / "asked").exists()
