"""A local root that was moved while an execution was not finished, and one that an older version made."""

from __future__ import annotations

import json
import shutil

from tests.faults.processes import Fault
from tests.faults.room import Room

# What a record, a cached result and a version did not have in earlier versions.
LATER = {
    "executions/*/execution.json": ("engine", "display_name", "reserve"),
    "cache/*.json": ("files", "outputs", "sizes", "objects"),
    "registry/*/*/package.json": ("LastModifiedBy", "LastModifiedTime"),
}


def moved(room: Room, number: int) -> None:
    """Killed in Merge, moved or made older, looked at, and gone on with."""
    room.furnish()
    room.forget("Merge")
    execution = room.create()
    executor = room.launch(execution)
    if room.reached(execution, "Merge", executor):
        executor.kill()
    room.ended(executor)
    room.nobody_left()
    if number % 2 == 0:
        place = room.folder / "elsewhere, with 'signs' in its name"
        shutil.move(room.root, place)
        room.root = place
        room.notes.append("moved")
    else:
        room.notes.append("older")
        make_older(room)
    for earlier in room.world.ids.values():
        shown = room.command("logs", earlier, "--step", "Train", may_fail=False)
        if "[metrics]" not in shown.out:
            raise Fault("the logs of an execution that succeeded are not shown any more")
        room.command("describe", earlier, may_fail=False)
    room.command("models", may_fail=False)
    room.tells_the_truth(execution)
    room.goes_on(execution)


def make_older(room: Room) -> None:
    """Take away what earlier versions did not write, but leave what they had."""
    for pattern, names in LATER.items():
        for file in room.root.glob(pattern):
            found = json.loads(file.read_text())
            for name in names:
                found.pop(name, None)
            for step in found.get("steps", ()):
                step.pop("objects", None)
            facts = found.get("CustomerMetadataProperties", {})
            for name in [name for name in facts if "manifest" in name or "approved" in name]:
                del facts[name]
            file.write_text(json.dumps(found))
    shutil.rmtree(room.root / "staging", ignore_errors=True)
    shutil.rmtree(room.root / "origins", ignore_errors=True)
    for pattern in ("executions/*/jobs/*/processes.lock", "executions/*/reserve"):
        for file in room.root.glob(pattern):
            file.unlink()
