"""What every subject of `check --account` is handed: the rendered workflow, clients, and where a setting stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.request import Request, urlopen

from pipeline import rendered
from pipeline.account_check.finding import Finding
from pipeline.aws.client import client
from pipeline.parameters.values import Value, resolve_parameters
from pipeline.rendered import Definition
from pipeline.settings.workflow import Workflow
from steps.shared import typed_yaml

# A check that waits is of no use: what does not answer soon is said to be not looked at.
ATTEMPTS, CONNECT_SECONDS, READ_SECONDS = 3, 5, 15
LARGEST = 8 * 2**20  # bytes of a file that is read over HTTP: configurations and lists, no weights
File = Literal["workflow", "account", "recipe"]


@dataclass(frozen=True)
class Look:
    """One look at one thing, which runs beside the others.

    Attributes:
        where: the setting that it is about, as `Places` words it.
        actions: the IAM actions that it takes, which are named where it is refused.
        find: yields what it finds; AWS's errors may leave it.
    """

    where: str
    actions: tuple[str, ...]
    find: Callable[[], Iterable[Finding]]


class Clients:
    """The clients of one session. They may be shared by threads; making them may not, so that one is made at a time."""

    def __init__(self, region: str) -> None:
        self._region, self._made = region, dict[tuple[str, str], Any]()
        self._lock = threading.Lock()

    def __call__(self, service: str, region: str | None = None) -> Any:
        key = (service, region or self._region)
        with self._lock:
            if key not in self._made:
                self._made[key] = client(
                    *key, attempts=ATTEMPTS, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
                )
            return self._made[key]


@dataclass(frozen=True)
class Places:
    """Where the settings stand: `configs/account.yaml line 7  bucket`."""

    files: Mapping[File, Path]
    lines: Mapping[File, Mapping[str, int]]

    @classmethod
    def of(cls, settings: Path, workflow: Workflow) -> Places:
        beside = settings.parent
        files: dict[File, Path] = {
            "workflow": settings,
            "account": beside / workflow.settings.account,
            "recipe": beside / workflow.settings.recipe,
        }
        return cls(files, {name: typed_yaml.all_key_lines(path) for name, path in files.items()})

    def __call__(self, file: File, key: str) -> str:
        """The place of a key, as `train.instance_type`; without a line where it has its default."""
        line = self.lines[file].get(key)
        return f"{self.files[file]} line {line}  {key}" if line else f"{self.files[file]}  {key} (its default)"


@dataclass(frozen=True)
class Context:
    """
    Attributes:
        definition: the rendered definition's JSON.
        options: what a next command needs to mean the same workflow, with a space before.
        read: the content of an http address, at most `LARGEST` bytes; raises OSError.
    """

    workflow: Workflow
    definition: dict[str, Any]
    client: Clients
    place: Places
    options: str
    read: Callable[[str], bytes]

    @property
    def region(self) -> str:
        return self.workflow.account.region

    @cached_property
    def document(self) -> Definition:
        return rendered.read(self.definition)

    @cached_property
    def values(self) -> dict[str, Value]:
        """The parameters of an execution that sets none."""
        return resolve_parameters(self.definition, {})

    def command(self, words: str) -> str:
        """A next command for the same workflow."""
        return f"python pipeline.py {words}{self.options}"

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        """An ARN in the settings' account and region."""
        partition = self.workflow.account.role_arn.split(":")[1]
        where = self.region if region is None else region
        return f"arn:{partition}:{service}:{where}:{self.workflow.account.account_id}:{resource}"

    def of_bucket(self, place: str) -> str:
        """The ARN of a bucket, or of `BUCKET/KEY`."""
        return f"arn:{self.workflow.account.role_arn.split(':')[1]}:s3:::{place}"


def read_address(address: str) -> bytes:
    """The content of an http address.

    Raises:
        OSError: there is none, it does not answer in time, or it is larger than `LARGEST`.
    """
    with urlopen(Request(address, headers={"User-Agent": "dpo-pipeline"}), timeout=READ_SECONDS) as answer:
        content: bytes = answer.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"{address.partition('?')[0]}: is larger than {LARGEST} bytes")
    return content
