"""The training container's entry: reads the job's world and starts torchrun on this node.

Command:  python3 -m steps.train.launch [--processes-per-node auto|N]
Inputs:   input/config/resourceconfig.json (hosts, this host, network interface), input/config/hyperparameters.json,
          and the channel `config` with args.yaml; hyperparameters override the file.
Outputs:  what steps/train/train.py writes; the exit code of torchrun. SIGTERM is passed on to it.
          Where whoever started it is gone, the processes get ORPHAN_SECONDS from SIGTERM on, and are killed then.
Limits:   `auto` starts a process per GPU, and one where there is none. Imports neither torch nor trl.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.signs import phases
from steps.train import arguments as train_arguments
from steps.train.runtime import gpus
from steps.train.runtime.tied import tied

NOTICE_SECONDS = 115  # that a SIGTERM leaves the processes to write a checkpoint; SageMaker gives a spot job 120
ORPHAN_SECONDS = 30  # as long as that where nobody is left who would take the results: for a step and its checkpoint
PORTS = range(20000, 30000)
TRAIN = Path(__file__).with_name("train.py")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m steps.train.launch", description=__doc__.splitlines()[0])
    parser.add_argument("--processes-per-node", default="auto", help="auto: one per GPU, one where there is none")
    options = parser.parse_args(argv)
    recipe = contract.channel("config") / "args.yaml"
    hyperparameters = contract.read_json(
        contract.root() / "input" / "config" / "hyperparameters.json", "the job's hyperparameters"
    )
    # A mistake in the arguments is said here, once, and not by every process of every node.
    train_arguments.load(recipe, {key: str(value) for key, value in hyperparameters.items()})
    processes = process_count(options.processes_per_node)
    arguments = [word for key, value in sorted(hyperparameters.items()) for word in (f"--{key}", str(value))]
    command = [*torchrun(processes), str(TRAIN), "--config", str(recipe), *arguments]
    phases.tell("starting the environment")
    print(f"{processes} processes on this node: {' '.join(command[1:6])} …", flush=True)
    code = run(command)
    if code != 0:
        # The process that failed first has left its reason, or torchrun's for one that was killed; this one only says
        # that there was none.
        contract.write_failure(f"training ended with exit code {code}; the log has the reason", if_none=True)
        sys.exit(1)


def process_count(wanted: str) -> int:
    """Processes to start on this node.

    Raises:
        StepError: `wanted` is neither `auto` nor a positive number, or the GPUs cannot be counted.
    """
    if wanted == "auto":
        return max(1, gpus.count())
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    raise StepError(f"--processes-per-node: {wanted}: write auto or a number above 0")


def torchrun(processes: int) -> list[str]:
    """The torchrun command of this node; every node of the job makes the same but for its rank.

    Where all processes are on one machine, nothing of it listens to the network.
    """
    path = contract.root() / "input" / "config" / "resourceconfig.json"
    world = contract.read_json(path, "the job's resource configuration")
    hosts = sorted(world["hosts"])
    one_machine = len(hosts) == 1 or all(host.startswith("127.") for host in hosts)  # as the nodes of a local run
    launcher = "steps.train.torchrun" if one_machine else "steps.train.elastic"
    command = [sys.executable, "-m", launcher, f"--nproc-per-node={processes}", f"--shutdown-timeout={NOTICE_SECONDS}"]
    if len(hosts) == 1:
        return command
    if not one_machine:
        os.environ.setdefault("NCCL_SOCKET_IFNAME", world.get("network_interface_name", "eth0"))
        os.environ.setdefault("GLOO_SOCKET_IFNAME", world.get("network_interface_name", "eth0"))
    rank = hosts.index(world["current_host"])
    # A port of the job's own: two jobs on one machine, as in local runs, must not meet each other.
    port = PORTS[zlib.crc32(os.environ.get("TRAINING_JOB_NAME", "").encode()) % len(PORTS)]
    return [
        *command, f"--nnodes={len(hosts)}", f"--node-rank={rank}", f"--master-addr={hosts[0]}", f"--master-port={port}"
    ]  # fmt: skip


def run(command: list[str]) -> int:
    """Run torchrun; SIGTERM (a stopped job, a spot interruption) and SIGINT reach it and its processes.

    Whoever started this process may be killed, as the executor of a local run: SIGTERM then comes from the system, and
    nobody is there who would end what does not end by itself, such as the closing work after the last step.
    """
    parent = os.getppid()
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    child = subprocess.Popen([*tied(signal.SIGTERM), *command], env=environment)

    def end(received: int, _: object) -> None:
        child.send_signal(received)
        if os.getppid() != parent:
            signal.alarm(ORPHAN_SECONDS)

    signal.signal(signal.SIGALRM, lambda *_: child.kill())  # the training's processes are tied to it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return child.wait()


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
