"""Damaged files: one bit flipped, cut in half, emptied, or removed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UserError
from tests.faults.processes import Fault
from tests.faults.room import Room
from tests.faults.world import GROUP, seed

# What is damaged, and the step that meets it first. A bit of the base's weights or of a raw row is not flipped: no
# digest of them is known to a job, so what it makes is right for what it was given.
INPUTS = (
    ("inputs/models/*/model.safetensors", "Train", False),
    ("inputs/models/*/config.json", "Train", False),
    ("inputs/models/*/tokenizer.json", "Train", False),
    ("inputs/data/*/rows.jsonl", "Preprocess", False),
    ("faults/runs/*/Preprocess/train/*.parquet", "Train", True),
    ("faults/runs/*/Preprocess/validation/*.parquet", "Train", True),
    ("faults/runs/*/Preprocess/report/report.json", "Train", True),
    ("faults/runs/*/Train/*/output/model/adapter_model.safetensors", "Gate", True),
    ("faults/runs/*/Train/*/output/model/evaluation.json", "Gate", True),
    ("faults/runs/*/Train/*/output/model/manifest.json", "Gate", True),
    ("faults/runs/*/Gate/serving/adapters/*/adapter_model.safetensors", "Merge", True),
    ("faults/runs/*/Gate/serving/adapters/*/adapter_config.json", "Merge", True),
    ("faults/runs/*/Gate/decision/probes.json", "Merge", True),
    ("inputs/models/*/model.safetensors", "Merge", False),
    ("inputs/models/*/tokenizer_config.json", "Merge", False),
    ("faults/runs/*/Merge/model/model.safetensors", "RegisterMerged", True),
    ("faults/runs/*/Gate/decision/gate.json", "RegisterMerged", True),
)
STATE = (  # of the execution that the commands ask about
    "executions/{hurt}/execution.json",
    "executions/{hurt}/definition.json",
    "cache/*.json",
    f"registry/{GROUP}/1/package.json",
    "s3/*/*/faults/runs/{hurt}/Preprocess/report/report.json",
)
NEEDED_BY = {  # the commands that cannot answer without a file; all others must
    "execution.json": ("status", "logs", "describe", "retry"),
    "definition.json": ("describe",),
    "package.json": ("compare",),
}
NAMED_BY = {"execution.json": ("list",), "package.json": ("models",)}  # which leave it out, and say so


def flip(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    _replace(file, bytes(data))


def cut(file: Path, rng: random.Random) -> None:
    _replace(file, file.read_bytes()[: rng.randrange(1, file.stat().st_size)])


def empty(file: Path, _rng: random.Random) -> None:
    _replace(file, b"")


def remove(file: Path, _rng: random.Random) -> None:
    file.unlink()


WAYS: tuple[Callable[[Path, random.Random], None], ...] = (flip, cut, empty, remove)


def _replace(file: Path, data: bytes) -> None:
    """In a file of its own: the store links some files."""
    file.unlink()
    file.write_bytes(data)


def one_of(room: Room, pattern: str, of: str = "") -> Path:
    """A file of this pattern, whose text has `of`."""
    found = sorted(file for file in room.root.glob(pattern) if file.is_file() and of.encode() in file.read_bytes())
    if not found:
        raise Fault(f"the campaign is out of date: no file is {pattern}")
    return room.rng.choice(found)


def inputs(room: Room, number: int) -> None:
    """What a step reads is damaged: it refuses, or what it makes has the right bits; whole again, `retry` goes on."""
    pattern, step, flips = INPUTS[number % len(INPUTS)]
    room.furnish()
    room.forget(step)
    file = one_of(room, f"s3/*/*/{pattern}")
    before = file.read_bytes()
    way = room.rng.choice(WAYS if flips else WAYS[1:])
    way(file, room.rng)
    room.notes.append(f"{way.__name__}: {file.relative_to(room.root)}")
    execution = room.create()
    room.ended(room.launch(execution))
    room.nobody_left()
    said = room.tells_the_truth(execution)
    file.unlink(missing_ok=True)
    file.write_bytes(before)
    if said["status"] != "Succeeded":
        room.goes_on(execution)
    elif step != "Preprocess":
        room.is_whole(execution)


def checkpoints(room: Room, number: int) -> None:
    """The newest checkpoint of the training that goes on is damaged, or it and the one before: the log names each."""
    ranks = 1 + number % 2
    room.furnish()
    for entry in (room.root / "cache").glob("*.json"):
        if re.search(r"/jobs/(Train|Gate|Merge)/", entry.read_text()):
            entry.unlink()
    found = room.root.glob(f"s3/*/*/faults/checkpoints/**/*_{seed(ranks)}/checkpoint-*/complete.json")
    newest = sorted((file.parent for file in found), key=lambda folder: -int(folder.name.partition("-")[2]))
    hurt = newest[: 1 + number // 2 % 2]
    way = WAYS[number // 2 % len(WAYS)]
    names = [_hurt(room, folder, way) for folder in hurt]
    execution = room.create(ranks)
    room.ended(room.launch(execution))
    room.nobody_left()
    if room.tells_the_truth(execution)["status"] != "Succeeded":
        raise Fault(f"a damaged checkpoint ended the training: {room.notes[-1]}")
    log = (room.root / "executions" / execution / "jobs" / "Train" / "log.txt").read_text(errors="replace")
    for folder, name in zip(hurt, names, strict=True):
        blank = way is flip and name == "complete.json"  # a flipped space of JSON changes nothing that it says
        if f"{folder.name} is passed over: " not in log and not blank:
            raise Fault(f"{folder.name}/{name} is damaged, and the training's log does not say that it is passed over")
    room.is_whole(execution, ranks)


def _hurt(room: Room, folder: Path, way: Callable[[Path, random.Random], None]) -> str:
    """Damage one file of a folder; which."""
    file = room.rng.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    way(file, room.rng)
    room.notes.append(f"{way.__name__}: {folder.name}/{file.name}")
    return file.name


def _judge_commands(room: Room, hurt: str, file: Path, way: Callable[[Path, random.Random], None]) -> None:
    """What needs the damaged file names it and fails; all else works. A flipped bit may change no meaning at all."""
    versions = ("--group", GROUP)
    asked: dict[str, tuple[str, ...]] = dict.fromkeys(("status", "logs", "describe", "retry"), (hurt,))
    asked |= {"list": (), "models": (), "compare": ("1", "2", *versions), "reject": ("2", "--note", "no", *versions)}
    for verb, words in asked.items():
        done, needs = room.command(verb, *words), verb in NEEDED_BY.get(file.name, ())
        named = file.name in done.text or (
            way is remove and (hurt in done.text or f"'{file.parent.name}'" in done.text)
        )
        if done.code and not (needs and named):
            raise Fault(f"{file.name} is damaged, and {verb} ended with {done.code}: {done.text[-300:]}")
        if needs and way in (cut, empty) and not done.code:
            raise Fault(f"{file.name} is damaged, and {verb}, which reads it, says nothing of it")
    for words in (("list",), ("models",)):
        told = room.command(*words, may_fail=False).text
        if way in (cut, empty) and words[0] in NAMED_BY.get(file.name, ()) and file.name not in told:
            raise Fault(f"{file.name} is damaged, and {words[0]} does not name it")
    for verb in ("status", "logs", "describe"):
        room.command(verb, room.world.ids[2], may_fail=False)


def state(room: Room, number: int) -> None:
    """A damaged file of the local state is named by the commands that need it; another execution works.

    At once, or after what its reason says: a version is restored, a result removed.
    """
    pattern = STATE[number % len(STATE)]
    room.furnish()
    hurt = room.world.ids[1]
    file = one_of(room, pattern.format(hurt=hurt), "" if "cache" not in pattern else hurt)
    before = file.read_bytes()
    way = WAYS[number // len(STATE) % len(WAYS)]
    way(file, room.rng)
    room.notes.append(f"{way.__name__}: {file.relative_to(room.root)}")
    _judge_commands(room, hurt, file, way)
    try:
        execution = room.create()
    except UserError as error:
        raise Fault(f"another execution cannot be made: {error}") from None
    room.ended(room.launch(execution))
    said = room.tells_the_truth(execution)
    if said["status"] != "Succeeded":
        if file.name not in said["failure_reason"]:
            raise Fault(f"{file.name} is damaged, and status says: {said['failure_reason'][:300]}")
        file.unlink(missing_ok=True)
        if "registry" in pattern:
            file.write_bytes(before)
        room.goes_on(execution)
    room.is_whole(execution)
