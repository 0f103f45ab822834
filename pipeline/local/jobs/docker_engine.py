"""Jobs as containers of this machine's Docker engine, with the images of this code.

A node finds what it finds on AWS: its tree at /opt/ml, the request's environment, command and nothing of this machine.
It runs as the user who started it, without capabilities, and with its secrets passed by name. A job that is isolated
has no network; the nodes of one of several have a network of their own, which leads nowhere where they are isolated.

Limits: the image is the one that `images build` made of this checkout, whatever tag or digest the definition names; no
Spark, whose image brings a cluster; GPUs, with NVIDIA's container toolkit, have not been tried.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pipeline.account import docker_command
from pipeline.account.images import repository as repository_of
from pipeline.errors import UserError, problems_error
from pipeline.local.jobs.engine import Group, Request
from pipeline.local.jobs.nodes import Node
from pipeline.local.plan import spark
from pipeline.local.plan.expressions import to_text
from pipeline.local.plan.support import ML_ROOT
from pipeline.local.state.records import EngineName
from pipeline.rendered import Step
from pipeline.settings.content import code_key

BUILD = "python pipeline.py images build"
SHARED_MEMORY = "8g"  # a limit; NCCL and worker processes need more than Docker's 64 MB


class DockerEngine:
    """The Engine whose nodes are containers."""

    name: EngineName = "docker"

    @contextlib.contextmanager
    def group(self, job_name: str, nodes: int, isolated: bool) -> Iterator[Group]:
        """Names as SageMaker gives them. A single node needs no network of its own."""
        hosts = [f"algo-{number}" for number in range(1, nodes + 1)]
        if nodes == 1:
            yield Group(hosts, "lo" if isolated else "eth0", isolated, "none" if isolated else "bridge")
            return
        _quietly("network", "create", *(["--internal"] if isolated else []), job_name)
        try:
            yield Group(hosts, "eth0", isolated, job_name)
        finally:
            _quietly("network", "rm", job_name)

    def root(self, ml: Path) -> Path:
        return Path(ML_ROOT)

    def node(self, job_name: str, ml: Path, group: Group, host: str, request: Request, repository: Path) -> Node:
        name = f"{job_name}-{host}"
        # A value on the command line could be read by anyone on this machine: secrets go through docker's environment.
        given = request.secrets_of_the_shell
        variables = [f"{key}={value}" for key, value in _environment(request).items()]
        words = [to_text(word) for word in (*request.entrypoint, *request.arguments)]
        mounts = {ML_ROOT: ml, **request.shared}
        for folder in mounts.values():
            folder.mkdir(parents=True, exist_ok=True)  # else Docker makes it, as root
        command = [
            docker_command.PROGRAM, "run", "--rm", "--init", "--name", name, "--hostname", host,
            "--network", group.network, *_aliases(group, host),
            "--user", f"{os.getuid()}:{os.getgid()}", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--shm-size", SHARED_MEMORY, *_gpus(request),
            *(word for path, folder in mounts.items() for word in ("--mount", _mount(path, folder))),
            *(word for variable in (*variables, *given) for word in ("--env", variable)),
            "--entrypoint", words[0], reference(request.image, repository), *words[1:],
        ]  # fmt: skip
        return Node(host, command, dict(os.environ), end=[docker_command.PROGRAM, "rm", "--force", name])


def reference(image: str, repository: Path) -> str:
    """The image of this code in place of the one that a definition names."""
    return f"{repository_of(image)}:{code_key(repository / 'steps')}"


def require(plan: list[Step], repository: Path, command: str) -> None:
    """
    Args:
        command: what to run again once the cause is fixed.

    Raises:
        UserError: there is no engine, or a step that it cannot run here; all of them at once.
    """
    docker_command.require_engine(command)
    problems: list[str] = []
    wanted: dict[str, str] = {}  # image -> a step that runs in it
    for step in plan:
        application = step.arguments.get("AppSpecification") or step.arguments.get("AlgorithmSpecification") or {}
        if spark.is_spark(application):
            problems.append(f"{step.name}: Spark is not supported with --engine docker; leave --engine out")
        elif image := application.get("ImageUri") or application.get("TrainingImage"):
            wanted.setdefault(reference(image, repository), step.name)
    for image, name in wanted.items():
        if docker_command.inspect(image, "{{.Id}}") is None:
            problems.append(f"{name}: there is no image of this code ({image}); build it: {BUILD}")
    if problems:
        raise problems_error("--engine docker", problems, f"Nothing was run. Fix them, then: {command}")


def _environment(request: Request) -> dict[str, str]:
    own = {name: to_text(value) for name, value in request.own_variables.items()}
    # Someone whom the image does not know has neither a home nor a name, which libraries ask for.
    nobody = {} if os.getuid() == 0 else {"HOME": "/tmp", "USER": "dpo"}
    counted = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(len(request.devices))))}  # anew, in a container
    return {**nobody, **request.platform, **(counted if request.devices else {}), **own}


def _mount(path: str, folder: Path) -> str:
    """One field each of a CSV line: checkpoint folders are named after URIs and losses, with colons and commas."""
    source = str(folder.resolve()).replace('"', '""')
    return f'type=bind,"source={source}","target={path}"'


def _aliases(group: Group, host: str) -> list[str]:
    return ["--network-alias", host] if len(group.hosts) > 1 else ["--add-host", f"{host}:127.0.0.1"]


def _gpus(request: Request) -> list[str]:
    return ["--gpus", f'"device={",".join(request.devices)}"'] if request.devices else []


def _quietly(*words: str) -> None:
    done = subprocess.run([docker_command.PROGRAM, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"docker {' '.join(words[:2])}: {done.stderr.strip()}")
