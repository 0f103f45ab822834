"""A tracker and a registry that die midway, or are damaged before."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.faults import damage
from tests.faults.disks import mount, protect, unmounted
from tests.faults.processes import PATIENCE, Fault
from tests.faults.room import Room
from tests.faults.world import GROUP

DATABASE = "mlflow.db"


def tracker(room: Room, number: int) -> None:
    """Training goes on without its tracker, with the same bits; nobody says that all was tracked."""
    (damaged, locked, other_schema, server)[number % 4](room)


def _trained(room: Room, during: object = None) -> str:
    room.forget("Train")
    execution = room.create()
    executor = room.launch(execution)
    if callable(during) and room.reached(execution, "Train", executor):
        during()
    room.ended(executor)
    room.nobody_left()
    if room.tells_the_truth(execution)["status"] != "Succeeded":
        raise Fault(f"a training ended for its tracker: {room.notes[-1]}")
    room.is_whole(execution)
    return room.command("retry", execution).out  # prints the summary once more


def _not_tracked(said: str, *, some: bool = False) -> None:
    """The summary says that the tracker got nothing, or with `some` not everything, and why."""
    told = re.search(r"^warning +mlflow got (\d+) of (\d+) entries: \S", said, re.MULTILINE)
    if told is None or (int(told[1]) > 0 and not some):
        raise Fault(f"not everything could be tracked, and the summary says: {said[-700:]}")
    shown = re.search(r"^tracked +(.*)", said, re.MULTILINE)
    if shown and not shown[1].startswith(f"{told[1]} of {told[2]} entries"):
        raise Fault(f"the tracker got {told[1]} of {told[2]} entries, and the summary says: {shown[0]}")


def damaged(room: Room) -> None:
    room.furnish()
    file = room.root / DATABASE
    way = room.rng.choice((damage.cut, damage.empty))
    way(file, random.Random(room.rng.random()))
    room.notes.append(f"{way.__name__}: {DATABASE}")
    said = _trained(room)
    if way is damage.cut:
        _not_tracked(said)


def locked(room: Room) -> None:
    room.furnish()
    room.notes.append("the database is locked by another process")
    with sqlite3.connect(room.root / DATABASE) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        said = _trained(room)
        holder.rollback()
    _not_tracked(said)


def other_schema(room: Room) -> None:
    room.furnish()
    room.notes.append("the database is of another version")
    with sqlite3.connect(room.root / DATABASE) as changed:
        changed.execute("UPDATE alembic_version SET version_num = '000000000000'")
    _not_tracked(_trained(room))


def server(room: Room) -> None:
    """A real server that is killed in the middle of the training."""
    room.furnish()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (recipe,) = set(room.root.glob("s3/*/*/inputs/recipes/*/args.yaml"))
    text = recipe.read_text()
    recipe.chmod(0o600)
    recipe.write_text(f"{text}mlflow_uri: http://127.0.0.1:{port}\n")
    served = start_server(room.folder, port)
    try:
        room.notes.append("the server is killed midway")

        def during() -> None:
            time.sleep(room.rng.uniform(0.3, 0.9) * room.world.seconds("Train", 1))
            os.killpg(served.pid, signal.SIGKILL)

        said = _trained(room, during)
        room.hit = not _finished(room.folder / "server.db")  # else it was killed after the run's end
        if room.hit:
            _not_tracked(said, some=True)
    finally:
        if served.poll() is None:
            os.killpg(served.pid, signal.SIGKILL)
        served.wait()


def _finished(database: Path) -> bool:
    with sqlite3.connect(database) as stored:
        return ("FINISHED",) in stored.execute("SELECT status FROM runs").fetchall()


def start_server(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """An MLflow server on this port, ready."""
    program = f"from mlflow.server import app; app.run('127.0.0.1', {port})"
    stored = {"_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/server.db",
              "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder / "artifacts")}  # fmt: skip
    with open(folder / "server.log", "wb") as log:
        served = subprocess.Popen([sys.executable, "-c", program], env=os.environ | stored, stdout=log, stderr=log,
                                  start_new_session=True)  # fmt: skip
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return served
        except OSError:
            time.sleep(0.2)
    raise Fault("the campaign's MLflow server did not start")


def registry(room: Room, number: int) -> None:
    """The registry cannot take the version: what training made stays, and `retry` registers it once."""
    room.furnish()
    home = room.root / "registry"
    execution = None
    if number % 3 == 0:
        room.notes.append("a file where the group's folder was")
        (home / GROUP).rename(home / "aside")
        (home / GROUP).write_text("")
        execution = _unregistered(room)
        (home / GROUP).unlink()
        (home / "aside").rename(home / GROUP)
    elif number % 3 == 1:
        room.notes.append("read-only from the middle of Merge")
        mount("--bind", str(home), str(home))
        with unmounted(home):
            execution = _unregistered(room, lambda: protect(home))
    else:
        room.notes.append("its newest version is empty")
        file = max((home / GROUP).glob("*/package.json"))
        before = file.read_bytes()
        file.write_bytes(b"")
        execution = _unregistered(room, may_succeed=True)
        file.write_bytes(before)
    room.goes_on(execution)


def _unregistered(room: Room, during: object = None, may_succeed: bool = False) -> str:
    room.forget("Merge")
    execution = room.create()
    executor = room.launch(execution)
    if callable(during) and room.reached(execution, "Merge", executor):
        during()
    room.ended(executor)
    if room.tells_the_truth(execution)["status"] == "Succeeded" and not may_succeed:
        raise Fault("the registry could not be written, and the execution succeeded")
    return execution
