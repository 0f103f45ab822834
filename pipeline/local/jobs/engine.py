"""What runs a job's nodes: plain processes of this machine, or containers of its Docker engine.

Both get the same request and the same tree, and give back nodes for `nodes.py` to run; a container's node is the
docker command that runs it. How each makes the world that SageMaker promises is in `process_engine.py` and
`docker_engine.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.local.jobs.nodes import Node
from pipeline.local.jobs.platform_variables import Aws
from pipeline.local.state.records import EngineName
from steps.shared import secrets


@dataclass(frozen=True)
class Request:
    """What a job asks for on one of its nodes.

    Attributes:
        image: the container's image as the definition names it.
        environment: the request's own variables; secrets are named, not given.
        platform: the variables that SageMaker sets, and those by which the local run stands for a service.
        shared: LocalPath -> folder of this machine that the node sees itself, such as the store.
        devices: the GPUs that are this node's.
        of_image: the variables of the image, for an engine that starts none.
        aws: what stands for AWS; without it secrets are the shell's, and a call of AWS reaches nobody.
        writable: file or folder of this machine -> whether the node may write there, apart from its own tree.
        inputs: LocalPaths below its own root that it may only read.
    """

    image: str
    entrypoint: Sequence[Any]
    arguments: Sequence[Any]
    environment: Mapping[str, Any]
    platform: Mapping[str, str]
    shared: Mapping[str, Path]
    devices: Sequence[str] = ()
    of_image: Mapping[str, str] = field(default_factory=dict)
    aws: Aws | None = None
    writable: Mapping[Path, bool] = field(default_factory=dict)
    inputs: Sequence[str] = ()

    @property
    def own_variables(self) -> dict[str, Any]:
        """The request's variables as the node gets them: the name of a secret only where there is who has it."""
        given = self.environment.items()
        return {name: value for name, value in given if self.aws or not name.endswith(secrets.SUFFIX)}

    @property
    def secrets_of_the_shell(self) -> list[str]:
        """The secrets that this shell has and the node gets from it."""
        return [] if self.aws else [name for name in secrets.NAMES if name in os.environ]


@dataclass(frozen=True)
class Group:
    """The nodes of one job: their names, their network interface, and whether they go without a network."""

    hosts: list[str]
    interface: str
    isolated: bool
    network: str = ""


class Engine(Protocol):
    """An engine; `name` is how a record and the command line call it."""

    name: EngineName

    def group(self, job_name: str, nodes: int, isolated: bool) -> AbstractContextManager[Group]:
        """The nodes of a job, with their network while the context lasts."""

    def root(self, ml: Path) -> Path:
        """What a node calls its own root, whose place on this machine is `ml`."""

    def node(self, job_name: str, ml: Path, group: Group, host: str, request: Request, repository: Path) -> Node:
        """A node, ready to run."""
