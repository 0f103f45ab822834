"""A standalone Spark cluster on this machine: a master and workers, each a process with a loopback address of its own.

Each worker stands for a machine: it sees a folder of its own where the output is, and below it a mount for each part,
as SageMaker makes them. That takes a mount namespace, which any user may have where `unshare` may make user namespaces.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from pipeline.local.plan import spark as local_spark
from steps.preprocess.shards.output import PARTS
from tests.paths import ROOT

Found = TypeVar("Found")
UNSHARE = ["unshare", "--map-root-user", "--mount"]
PATIENCE_S = 600


def missing() -> str | None:
    """Why no cluster can be started here; None where one can."""
    if reason := next(iter(local_spark.problems()), None):
        return reason
    found = shutil.which(UNSHARE[0]) and subprocess.run([*UNSHARE, "true"], capture_output=True, check=False)
    return None if found and found.returncode == 0 else "this machine allows no mount namespaces (unshare)"


@dataclass(frozen=True)
class Worker:
    """A worker and what stands for its machine: its address, and the folder that it sees in the output's place."""

    process: subprocess.Popen[bytes]
    host: str
    disk: Path


@dataclass(frozen=True)
class Cluster:
    master: str
    workers: tuple[Worker, ...]


@contextmanager
def cluster(folder: Path, output: Path, workers: int, memory: str) -> Iterator[Cluster]:
    """Start it, with one core and so much memory a worker, and end it."""
    output.mkdir(parents=True)
    with ExitStack() as running:
        log = folder / "master.log"
        words = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        running.enter_context(_daemon(["org.apache.spark.deploy.master.Master", *words], log, "127.0.0.1", folder))
        master = until(lambda: re.search(r"Starting Spark master at (spark://\S+)", log.read_text()))[1]
        page = until(lambda: re.search(r"started at (http://\S+)", log.read_text()))[1]
        machines = tuple(
            running.enter_context(_worker(folder / f"machine-{number}", number, output, master, memory))
            for number in range(workers)
        )
        until(lambda: read(f"{page}/json/")["aliveworkers"] == workers)
        yield Cluster(master, machines)


@contextmanager
def _worker(folder: Path, number: int, output: Path, master: str, memory: str) -> Iterator[Worker]:
    host, disk = f"127.0.0.{number + 2}", folder / "output"
    mounts = [f"mount --bind {shlex.quote(str(disk))} {shlex.quote(str(output))}"]
    for name in PARTS:
        (folder / name).mkdir(parents=True)
        (disk / name).mkdir(parents=True)
        mounts.append(f"mount --bind {shlex.quote(str(folder / name))} {shlex.quote(str(output / name))}")
    words = ["--host", host, "--port", "0", "--webui-port", "0", "--cores", "1", "--memory", memory]
    words += ["--work-dir", str(folder / "work"), master]
    before = [*UNSHARE, "sh", "-ec", "; ".join([*mounts, 'exec "$@"']), "sh"]
    command = ["org.apache.spark.deploy.worker.Worker", *words]
    with _daemon(command, folder / "worker.log", host, folder, before) as process:
        yield Worker(process, host, folder)


@contextmanager
def _daemon(
    words: list[str], log: Path, host: str, folder: Path, before: list[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **local_spark.environment(folder), "SPARK_LOCAL_IP": host}
    environment |= {"SPARK_DAEMON_MEMORY": "256m", "SPARK_NO_DAEMONIZE": "1"}
    start = [*(before or []), str(Path(environment["SPARK_HOME"], "bin", "spark-class")), *words]
    with open(log, "wb") as file:
        process = subprocess.Popen(start, env=environment, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def submit(master: str, log: Path, *words: object, **settings: object) -> subprocess.Popen[bytes]:
    """Start the step's own Spark application on a cluster; `settings` are Spark's, with underscores for full stops."""
    environment = {**os.environ, **local_spark.environment(log.parent), "OPT_ML": str(log.parent), "PYTHONPATH": ""}
    command = [*local_spark.submit()[:-1], master]
    for name, value in settings.items():
        command += ["--conf", f"spark.{name.replace('_', '.')}={value}"]
    command += [str(ROOT / "steps" / "preprocess" / "on_spark.py"), *map(str, words)]
    with open(log, "wb") as file:
        return subprocess.Popen(command, cwd=log.parent, env=environment, stdout=file, stderr=file)


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def until(look: Callable[[], Found | None]) -> Found:
    """What a look gives as soon as it gives something. A page that does not answer whole yet is looked at again."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (OSError, HTTPException, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"nothing was seen in {PATIENCE_S} s")
