"""Disks that are full or read-only: a small tmpfs under the local root, and bind mounts. Needs root, and Linux."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from tests.faults.processes import Fault
from tests.faults.room import Room

KIB = (16, 48, 128, 300, 700, 1500, 2500, 4000, 6000)  # free before the execution; it needs about 5 MB
FOLDERS = ("s3", "executions", "registry", "cache", "staging", "")


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"mount {' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def unmounted(place: Path) -> Iterator[None]:
    """Whatever was mounted there is taken away at the end."""
    try:
        yield
    finally:
        while subprocess.run(["umount", "--lazy", place], capture_output=True, check=False).returncode == 0:
            pass


def full(room: Room, number: int) -> None:
    """An execution on a disk with too little room, from Preprocess, Train or Merge on; then the disk grows."""
    step = ("Train", "Preprocess", "Merge")[number % 3]
    place = room.folder / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=1g", "faults", str(place))
    with unmounted(place):
        room.root = place / "local"
        room.furnish()
        room.forget(step)
        used = int(subprocess.run(["df", "--output=used", place], capture_output=True, text=True).stdout.split()[1])
        free = KIB[number % len(KIB)]
        mount("-o", f"remount,size={used + free}k", str(place))
        room.notes.append(f"{step}, {free} KiB free")
        execution = None
        try:
            execution = room.create()
        except (UserError, OSError) as error:
            room.notes.append(f"not even created: {error}"[:120])
        if execution:
            room.ended(room.launch(execution))
            room.nobody_left()
            said = room.tells_the_truth(execution)
            text = f"{said['failure_reason']} {[entry['failure_reason'] for entry in said['steps']]}"
            if said["status"] == "Failed" and "space" not in text and "disk" not in text:
                raise Fault(f"the disk was full, and status says: {said['failure_reason']}")
        mount("-o", "remount,size=1g", str(place))
        execution = execution or room.create()
        room.goes_on(execution)


def read_only(room: Room, number: int) -> None:
    """A folder that cannot be written from the start, or from the middle of the step; then it can be again."""
    name, step = FOLDERS[number % len(FOLDERS)], room.rng.choice(("Preprocess", "Merge"))
    room.furnish()
    room.forget(step)
    place = room.root / name
    place.mkdir(exist_ok=True)
    mount("--bind", str(place), str(place))
    with unmounted(place):
        execution = room.create()
        late = number % 2 == 1
        if not late:
            protect(place)
        executor = room.launch(execution)
        if late and room.reached(execution, step, executor):
            protect(place)
        room.notes.append(f"{step}, {name or 'the whole root'} read-only {'midway' if late else 'from the start'}")
        room.ended(executor)
        room.nobody_left()
        said = room.tells_the_truth(execution)
        mount("-o", "remount,bind,rw", str(place))
        room.hit = said["status"] != "Succeeded"  # else nothing was to be written there
        room.goes_on(execution) if said["status"] != "Succeeded" else room.is_whole(execution)


def protect(place: Path) -> None:
    """Make a bind mount read-only, as soon as no file in it is open for writing."""
    for _ in range(200):
        try:
            return mount("-o", "remount,bind,ro", str(place))
        except OSError:
            time.sleep(0.01)
