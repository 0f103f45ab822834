"""env: what a report of a fault needs to know of this machine, and nothing that is secret or names an account.

Of variables it tells the names alone, of settings how many problems they have: their values and messages may hold
accounts, addresses and data. Paths below the user's home folder begin with ~. Asks no network.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.commands.shared.options import DEFAULT_SETTINGS, LOCAL_ROOT, AsJson, LocalRoot, Settings, print_json
from pipeline.files import ROOT
from pipeline.local.state import records
from pipeline.settings import workflow as workflow_settings

EXTRAS = ("definition", "processing", "training")  # of pyproject.toml: what a local run needs
SECONDS = 5.0  # how long another program may take to answer
VARIABLES = re.compile(r"(AWS|HF|MLFLOW|WANDB|CUDA|NCCL|TORCH|PIP|DOCKER|OMP|MKL|TERM|LANG|LC)(_.*)?|\w+_proxy", re.I)
NOT_THERE = "not there"


def env(
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Print what a report of a fault needs: versions, platform, Docker, GPUs, settings; no secrets, no accounts."""
    found = facts(settings, local_root)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        print(f"{name:<12} {', '.join(value) if isinstance(value, list) else value}")


def facts(settings: Path, root: Path) -> dict[str, Any]:
    """What is told, by its name, in the order in which it is printed."""
    packages = dict(_packages())
    return {
        "code": _commit(),
        "python": f"{platform.python_version()} in {_homeless(sys.prefix)}",
        "platform": f"{platform.platform()}, {os.cpu_count()} CPUs{_memory()}",
        "packages": [f"{name} {version}" for name, (version, _) in packages.items()],
        "not pinned": [f"{name} {is_}, pinned is {pin}" for name, (is_, pin) in packages.items() if is_ != pin] or "-",
        "docker": _answer("docker", "version", "--format", "{{.Server.Version}} on {{.Server.Os}}/{{.Server.Arch}}"),
        "gpu": _answer("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"),
        "settings": _settings(settings),
        "local state": _state(root),
        "variables": sorted(filter(VARIABLES.fullmatch, os.environ)) or "-",
    }


def _commit() -> str:
    """The checkout's commit, and whether files differ from it."""
    commit = _answer("git", "-C", str(ROOT), "rev-parse", "HEAD")
    changed = _answer("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with changed files" if changed not in ("", NOT_THERE) else commit


def _packages() -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, installed version and pinned version of what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(pin for extra in EXTRAS for pin in project["optional-dependencies"][extra])]
    for name, pin in sorted({(name, pin) for name, equals, pin in (one.partition("==") for one in wanted) if equals}):
        try:
            yield name, (metadata.version(name).partition("+")[0], pin)
        except metadata.PackageNotFoundError:
            yield name, (NOT_THERE, pin)


def _memory() -> str:
    try:
        return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"
    except (ValueError, OSError):  # a system that does not tell
        return ""


def _answer(*command: str) -> str:
    """What a program says, in one line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        return NOT_THERE
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not answer within {SECONDS:g} s"
    except OSError as error:
        return f"{command[0]} cannot be run: {error.strerror}"
    if done.returncode:
        return f"{command[0]} is there and fails with exit code {done.returncode}"  # what it says may name hosts
    return "; ".join(line.strip() for line in done.stdout.splitlines())


def _settings(path: Path) -> str:
    workflow, problems = workflow_settings.inspect(path)
    name = _homeless(os.path.relpath(path, ROOT) if path.resolve().is_relative_to(ROOT) else str(path.resolve()))
    if problems or workflow is None:
        return f"{name}, {len(problems)} problem{'s' * (len(problems) != 1)}: see `check`"
    return f"{name}, no problems in the file; code {workflow.code_version}"


def _state(root: Path) -> str:
    """Where it lies, how much room is there, and how the newest execution stands, without what it says."""
    place = _homeless(str(root.resolve()))
    run = records.newest_id(root)
    if run is None:
        return f"{place}, no executions"
    free = shutil.disk_usage(root).free / 1e9
    try:
        newest = records.load(root, run)
    except records.Damaged:
        return f"{place}, {free:.0f} GB free; the newest execution is damaged"
    steps = ", ".join(
        f"{step.name} {step.status}" for step in newest.steps if step.status not in ("Pending", "Skipped")
    )
    return f"{place}, {free:.0f} GB free; newest execution {newest.status}, {newest.engine} ({steps})"


def _homeless(text: str) -> str:
    """A text without the user's home folder, whose name is often the user's."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text
