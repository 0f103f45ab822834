"""Mutated rows and settings through the real loaders, in this process: a reason in words, never anything else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.parameters.values import parse_assignments, resolve_parameters
from pipeline.settings import workflow
from steps.merge.fit.adapter import read_adapter
from steps.preprocess.read.sources import read_rows
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tools import declare
from steps.preprocess.shards.convert import Layout, convert_all
from steps.preprocess.shards.parse import parsed
from steps.preprocess.shards.record import Recorder
from steps.shared.contract import StepError
from tests.faults.processes import Fault
from tests.faults.room import Room
from tests.paths import ROOT

ROWS = 10_000  # of a round
FILES = 625  # of each of the four kinds, of a round
SLOW = 20.0  # seconds for one row or file: a hang
PIECES = (b"", b"\0", b"null", b"-1", b"1e999", b"{}", b"[]", b'""', b"\xff", b"\xed\xa0\x80", b"{", b"]",
          b"NaN", b"9" * 40, b"<tool_call>", b"\\ud800", b"true", b"[[[[", b": ", b"\n- ", b"&a", b"*a",
          b"/", b"..")  # fmt: skip


def mutated(data: bytes, rng: random.Random, times: int) -> bytes:
    """The bytes with so many random changes: a bit, a piece put in, a stretch removed, doubled or moved."""
    for _ in range(times):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 3, 10, 60)))
        how = rng.randrange(5)
        if how == 0 and data:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif how == 1:
            data = data[:start] + rng.choice(PIECES) + data[start:]
        elif how == 2:
            data = data[:start] + data[end:]
        elif how == 3:
            data = data[:end] + data[start:end] + data[end:]
        else:
            data = data[:start] + rng.choice(PIECES) + data[end:]
    return data


def rows(room: Room, number: int, count: int = ROWS) -> None:
    """Rows of every layout: each is accounted for, a pair or a reason."""
    samples = sorted((ROOT / "tests" / "data" / "formats").iterdir())
    recorder = Recorder(Rules(), declare, None)
    done = 0
    while done < count:
        lines = room.rng.choice(samples).read_bytes().splitlines()
        wanted = [mutated(room.rng.choice(lines), room.rng, room.rng.randrange(1, 5)) for _ in range(500)]
        file = room.folder / f"rows-{done}.jsonl"
        file.write_bytes(b"\n".join(line.replace(b"\n", b" ") for line in wanted))
        began = time.monotonic()
        try:
            done += read(file, recorder)
        except StepError:
            done += 1  # the whole file is refused, in words
        except Exception as error:
            raise Fault(f"{file}: {type(error).__name__}: {error}") from error
        if time.monotonic() - began > SLOW:
            raise Fault(f"{file}: 500 rows took {time.monotonic() - began:.0f} s")
        file.unlink()
    room.notes.append(f"{done} rows")


def read(file: Path, recorder: Recorder) -> int:
    """Convert all rows of a file, as Preprocess does; how many they were."""
    seen, layout = 0, Layout(None)
    for raw, given in parsed(read_rows(file.name, file)):
        seen += 1
        for found in convert_all(raw, given, layout, recorder).rows:
            if isinstance(found, InvalidRow) and not str(found).strip():
                raise Fault(f"{file}: row {raw.line}: refused without a word")
    return max(seen, 1)


def settings(room: Room, number: int, count: int = FILES) -> None:
    """Settings files, recipes, parameter values and adapter configurations."""
    tried = sum(try_all(play(room, count)) for play in (settings_files, recipes, values, adapters))
    room.notes.append(f"{tried} files and values")


Attempts = Iterator[tuple[str, Callable[[], object]]]


def try_all(attempts: Attempts) -> int:
    """Try each: a result or a reason in words, and soon; how many they were."""
    tried = 0
    for what, attempt in attempts:
        tried += 1
        began = time.monotonic()
        try:
            attempt()
        except (UserError, StepError) as error:
            if not str(error).strip():
                raise Fault(f"{what}: refused without a word") from error
        except Exception as error:
            raise Fault(f"{what}: {type(error).__name__}: {error}") from error
        if time.monotonic() - began > SLOW:
            raise Fault(f"{what}: took {time.monotonic() - began:.0f} s")
    return tried


def _files(room: Room, count: int, samples: list[Path], name: str) -> Iterator[Path]:
    for at in range(count):
        file = room.folder / f"{at}-{name}"
        file.write_bytes(mutated(room.rng.choice(samples).read_bytes(), room.rng, room.rng.randrange(1, 5)))
        yield file
        file.unlink()


def settings_files(room: Room, count: int) -> Attempts:
    samples = [ROOT / "configs" / f"{name}.yaml" for name in ("quickstart", "qwen3-8b", "account")]
    (room.folder / "recipes").mkdir(exist_ok=True)
    for recipe in (ROOT / "configs" / "recipes").glob("*.yaml"):
        (room.folder / "recipes" / recipe.name).write_bytes(recipe.read_bytes())
    (room.folder / "account.yaml").write_bytes((ROOT / "configs" / "account.yaml").read_bytes())
    for file in _files(room, count, samples, "settings.yaml"):
        yield str(file), lambda file=file: workflow.inspect(file)


def recipes(room: Room, count: int) -> Attempts:
    from steps.train import arguments

    for file in _files(room, count, sorted((ROOT / "configs" / "recipes").glob("*.yaml")), "recipe.yaml"):
        yield str(file), lambda file=file: arguments.load(file)


def values(room: Room, count: int) -> Attempts:
    definition = room.world.definition(1)
    given = [f"{one['Name']}={one.get('DefaultValue', '')}" for one in definition["Parameters"]]
    for _ in range(count):
        text = mutated(room.rng.choice(given).encode(), room.rng, room.rng.randrange(1, 4)).decode(errors="replace")
        yield f"--set {text!r}", lambda text=text: resolve_parameters(definition, parse_assignments([text]))


def adapters(room: Room, count: int) -> Attempts:
    (good,) = list(room.world.root.glob(f"s3/*/*/*/runs/{room.world.ids[1]}/Gate/serving/adapters/*"))
    folder = room.folder / "adapter"
    folder.mkdir()
    config = (good / "adapter_config.json").read_bytes()
    for name in ("adapter_model.safetensors", "manifest.json"):
        (folder / name).write_bytes((good / name).read_bytes())
    for _ in range(count):
        file = folder / "adapter_config.json"
        file.write_bytes(mutated(config, room.rng, room.rng.randrange(1, 5)))
        yield str(file), lambda: read_adapter(folder)
