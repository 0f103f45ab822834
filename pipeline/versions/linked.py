"""Registered versions as MLflow knows them: whatever a command has changed in the model registry is told there as well.

A version's metadata name its run (`mlflow_run_id`, `mlflow_uri`), put there when it was registered. The other way, the
run gets tags, MLflow's model registry a version, and the newest approved one its alias `champion`; all of that is
copied from the group, which stays what counts: a tracker that is down loses nothing, and fails nothing. MLflow itself
is asked in a process of its own (steps/train/link_versions.py). Limits: needs the package mlflow here; name, password
or token of a server come from MLFLOW_TRACKING_… of the shell.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.files import ROOT
from pipeline.versions.registry import ModelVersion
from steps.gate.tracked import NONE, RUN_ID, URI

MODULE = "steps.train.link_versions"
SECONDS = 120.0
FACTS = ("variant", "base_model", "data_hash", "code_version", "execution_arn", "reward_accuracy", "gate")


def again(options: object) -> str:
    """The command that tells MLflow of all versions again.

    Args:
        options: what makes it mean the same versions, with a space before it.
    """
    return f"python pipeline.py models --link{options}"


@dataclass(frozen=True)
class Tracked:
    """A version with its run.

    Attributes:
        uri: MLflow's address, as this machine reaches it.
        source: where the version's files lie, as MLflow is told.
    """

    version: ModelVersion
    run_id: str
    uri: str
    source: str


def tracked(version: ModelVersion) -> Tracked | None:
    """None of a version whose training was not tracked in MLflow, or which is of an earlier release."""
    run, uri = version.metadata.get(RUN_ID, NONE), version.metadata.get(URI, NONE)
    if NONE in (run, uri) or not version.model_uri:
        return None
    return Tracked(version, run, uri, version.model_uri)


def link(
    versions: Sequence[Tracked], champion: int | None, again: str, no_registry: Callable[[str], str | None]
) -> list[str]:
    """Tell MLflow of versions of one group; what came of it, in lines.

    Args:
        champion: the number of the group's newest approved version, which is among `versions` where it is tracked.
        again: the command that tries again.
        no_registry: why the model registry of a tracker, by its address, must not be written to; None where it may.
    """
    by_uri: dict[str, list[Tracked]] = {}
    for one in sorted(versions, key=lambda one: one.version.version):
        by_uri.setdefault(one.uri, []).append(one)
    said: list[str] = []
    for uri, there in by_uri.items():
        try:
            kept_out = no_registry(uri)
            found = _ask(uri, _group(there, champion, registry=kept_out is None))
        except _NotTold as error:
            said.append(f"mlflow: {error}; nothing is lost, tell it later: {again}")
            continue
        said += _lines(there[0].version.group, found, kept_out, again)
    return said


class _NotTold(Exception):
    """MLflow was not told; `str(error)` says why."""


def _group(versions: Sequence[Tracked], champion: int | None, *, registry: bool) -> dict[str, Any]:
    return {
        "name": versions[0].version.group,
        "versions": [_version(one) for one in versions],
        "champion": champion,
        "registry": registry,
    }


def _version(one: Tracked) -> dict[str, Any]:
    version = one.version
    facts = {name: version.metadata[name] for name in FACTS if name in version.metadata}
    return {
        "number": version.version,
        "arn": version.arn,
        "run_id": one.run_id,
        "source": one.source,
        "approval_status": version.approval_status,
        "facts": facts | ({"note": version.note} if version.note else {}),
    }


def _ask(uri: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """Raises _NotTold."""
    missing = [name for name in _packages(uri) if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        raise _NotTold(f"cannot be told of {group['name']} from here: pip install {' '.join(missing)}")
    command = [sys.executable, "-m", MODULE, f"--mlflow_uri={uri}"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, input=json.dumps(group), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _NotTold(f"{uri} does not answer within {SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise _NotTold(f"{uri}: {lines[-1].removeprefix('error: ')}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _packages(uri: str) -> Iterator[str]:
    yield "mlflow"
    if uri.startswith("arn:"):
        yield "sagemaker-mlflow"


def _lines(group: str, found: Mapping[str, Any], kept_out: str | None, again: str) -> Iterator[str]:
    registered = found["registered"]
    if registered:
        named = ", ".join(f"version {number} is version {there} there" for number, there in registered.items())
        champion = f"; champion there: version {found['champion']}" if found["champion"] else "; no champion"
        yield f"mlflow: {group}: {named}{champion}"
    elif found["runs"]:
        numbers = ", ".join(map(str, found["runs"]))
        yield f"mlflow: {group}: the run of version {numbers} says so" + (f"; {kept_out}" if kept_out else "")
    for problem in found["problems"]:
        yield f"mlflow: {group}: {problem}; once that is mended: {again}"
