"""Jobs as plain processes of this machine, which find what a container finds on AWS: tree, command, environment, hosts.

A step's code takes the root of its tree from OPT_ML; strings that are or start with `/opt/ml/` in the entrypoint, the
arguments and the environment are rewritten to the job's own root. Its environment is the platform's and the image's,
and what a process needs to start here; what its Python writes elsewhere than the container would keep is refused
(`in_job`). Limits: the process reads this machine's files, and has its Python and its network.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.local.jobs import in_job
from pipeline.local.jobs.engine import Group, Request
from pipeline.local.jobs.in_job import sitecustomize
from pipeline.local.jobs.job import local_path
from pipeline.local.jobs.nodes import Node
from pipeline.local.plan import spark
from pipeline.local.plan.expressions import to_text
from pipeline.local.plan.support import ML_ROOT
from pipeline.local.state.records import EngineName
from steps.shared import secrets

INTERFACE = "lo" if sys.platform == "linux" else "lo0"
_PYTHON = ("python3", "python")

# What a job inherits from this shell: what a process of this machine needs to find programs and libraries, a place for
# temporary files, and the way to the network. All else stays out, so that a job cannot come to depend on what the
# container will not have: credentials, regions, this person's home and settings of libraries.
_INHERITED = {
    "PATH", "LD_LIBRARY_PATH", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    # Where this machine's network leads, as proxies do: to a mirror, to a server of one's own, or to none.
    "HF_ENDPOINT", "HF_HUB_OFFLINE", "WANDB_BASE_URL", "WANDB_MODE",
}  # fmt: skip
# Stands for the container's /root, whose disk is small and goes with the job: a folder that is not there.
HOME = "root"
IN_JOB = Path(in_job.__file__).parent


class ProcessEngine:
    """The Engine whose nodes are processes of this machine."""

    name: EngineName = "processes"

    @contextlib.contextmanager
    def group(self, job_name: str, nodes: int, isolated: bool) -> Iterator[Group]:
        """Loopback addresses as names. A process keeps this machine's network, isolated or not."""
        yield Group(hosts(nodes), INTERFACE, isolated)

    def root(self, ml: Path) -> Path:
        return ml

    def node(self, job_name: str, ml: Path, group: Group, host: str, request: Request, repository: Path) -> Node:
        for path, folder in request.shared.items():
            folder.mkdir(parents=True, exist_ok=True)
            link = local_path(path, ml)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder, target_is_directory=True)
        words = command(request.entrypoint, request.arguments, ml)
        return Node(host, words, environment(request, ml, repository))


def localize(text: Any, ml: Path) -> str:
    """A string of the request as the process should see it."""
    text = to_text(text)
    return f"{ml}{text[len(ML_ROOT) :]}" if text == ML_ROOT or text.startswith(f"{ML_ROOT}/") else text


def command(entrypoint: Sequence[Any], arguments: Sequence[Any], ml: Path) -> list[str]:
    """The command line, with this Python, and this machine's Spark, in place of the image's."""
    words = [localize(word, ml) for word in entrypoint]
    if words[0] in _PYTHON:
        words[0] = sys.executable
    if spark.SUBMIT in words:
        at = words.index(spark.SUBMIT)
        words[at : at + 1] = spark.submit()
    return [*words, *(localize(word, ml) for word in arguments)]


def environment(request: Request, ml: Path, repository: Path) -> dict[str, str]:
    """What the process needs, then what the image and the platform set, then the step's own Environment."""
    inherited = {name: value for name, value in os.environ.items() if name.upper() in _INHERITED}
    own = {name: localize(value, ml) for name, value in request.own_variables.items()}
    return {
        **inherited,
        **{name: os.environ[name] for name in request.secrets_of_the_shell},
        "HOME": str(ml.parent / HOME),
        "PYTHONPATH": os.pathsep.join([str(IN_JOB), str(repository)]),
        **request.of_image,
        **request.platform,
        **own,
        "OPT_ML": str(ml),
        sitecustomize.VARIABLE: json.dumps(write_rules(request, ml, repository)),
    }


def write_rules(request: Request, ml: Path, repository: Path) -> dict[str, bool]:
    """Where the process may write, by path: in its tree and in temporary folders, and not in its inputs."""
    temporary = {tempfile.gettempdir(): True, "/tmp": True, str(repository): False}
    beyond = {str(path): allowed for path, allowed in request.writable.items()}
    inputs = {str(local_path(path, ml)): False for path in request.inputs}
    return temporary | beyond | {str(ml): True} | inputs


def unset_secrets(request: Mapping[str, Any]) -> list[str]:
    """The variables whose secrets a job would get on AWS and that this shell has no value for."""
    named = [name.removesuffix(secrets.SUFFIX) for name in request if name.endswith(secrets.SUFFIX)]
    return [name for name in named if name not in os.environ]


def hosts(count: int) -> list[str]:
    """Names for the nodes: loopback addresses, which resolve anywhere, so that nodes really find each other."""
    return [f"127.0.0.{number}" for number in range(1, count + 1)]
