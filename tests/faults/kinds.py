"""Every kind of fault, with the number of its rounds in a whole campaign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import damage, disks, kills, memory, moves, mutations, races, services
from tests.faults.room import Room


@dataclass(frozen=True)
class Kind:
    """One kind: `play(room, number)` raises Fault where something is wrong."""

    words: str
    play: Callable[[Room, int], None]
    rounds: int
    only_root: bool = False  # it mounts something


KINDS = {
    "kills": Kind("a step killed (SIGKILL, SIGTERM, SIGINT; executor, step, group, rank, all)", kills.kill, 62),
    "full": Kind("a disk that is full at some moment", disks.full, 9, only_root=True),
    "readonly": Kind("a folder of the local state that becomes read-only", disks.read_only, 6, only_root=True),
    "inputs": Kind("damaged rows, base, splits or adapter, before the step that reads them", damage.inputs, 17),
    "checkpoints": Kind("a damaged checkpoint", damage.checkpoints, 8),
    "state": Kind("damaged records, definitions, cache entries, versions", damage.state, 20),
    "tracker": Kind("a tracker whose database is damaged or locked, or whose server dies", services.tracker, 8),
    "registry": Kind("a registry that cannot be written when the model is registered", services.registry, 3),
    "races": Kind("two executions, two retries, two stops at once", races.race, 6),
    "memory": Kind("a rank killed for want of memory", memory.killed, 3),
    "moved": Kind("a local root that was moved, or that an older version made", moves.moved, 4),
    "rows": Kind("10,000 mutated rows", mutations.rows, 10),
    "settings": Kind("2,500 mutated settings files, recipes, parameter values, adapter configurations",
                     mutations.settings, 4),
}  # fmt: skip
