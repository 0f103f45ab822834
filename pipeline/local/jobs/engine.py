"""What runs a job's nodes: plain processes of this machine, or containers of its Docker engine.

Both get the same request and the same tree, and give back nodes for `nodes.py` to run; a container's node is the
docker command that runs it. How each makes the world that SageMaker promises is in `process_engine.py` and
`docker_engine.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.local.jobs.nodes import Node
from pipeline.local.state.records import EngineName


@dataclass(frozen=True)
class Request:
    """What a job asks for on one of its nodes.

    Attributes:
        image: the container's image as the definition names it.
        environment: the request's own variables; secrets are named, not given.
        platform: the variables that SageMaker sets.
        shared: LocalPath -> folder of this machine that the node works on itself, such as checkpoints.
        devices: the GPUs that are this node's.
    """

    image: str
    entrypoint: Sequence[Any]
    arguments: Sequence[Any]
    environment: Mapping[str, Any]
    platform: Mapping[str, str]
    shared: Mapping[str, Path]
    devices: Sequence[str] = ()


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
