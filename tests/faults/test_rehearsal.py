"""The campaign's own parts, in seconds: a few mutated rows and files, what is chosen, and the table."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from tests.faults import mutations, table, world
from tests.faults.__main__ import chosen
from tests.faults.damage import WAYS
from tests.faults.kinds import KINDS
from tests.faults.room import Room
from tests.faults.table import Result
from tests.faults.world import World

NOWHERE = World(Path("nowhere"), {})


def test_mutated_rows_recipes_and_settings_give_a_reason_in_words(tmp_path: Path) -> None:
    room = Room(NOWHERE, tmp_path / "room", random.Random(3))
    mutations.rows(room, 0, count=500)
    assert int(room.notes[-1].split()[0]) >= 500
    assert mutations.try_all(mutations.recipes(room, 10)) == 10
    assert mutations.try_all(mutations.settings_files(room, 10)) == 10


def test_a_seed_gives_the_same_mutations() -> None:
    first, second = (mutations.mutated(b'{"prompt": "a"}', random.Random(5), 3) for _ in range(2))
    assert first == second != b'{"prompt": "a"}'


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_of_damage_changes_the_file_and_no_file_that_it_is_linked_to(tmp_path: Path, way) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_bytes(bytes(range(100)))
    other.hardlink_to(file)
    way(file, random.Random(1))
    assert not file.exists() or file.read_bytes() != bytes(range(100))
    assert other.read_bytes() == bytes(range(100))


def test_figures_that_took_another_time_are_the_same_and_other_figures_are_not(tmp_path: Path) -> None:
    def hashed(loss: float, seconds: float) -> dict[str, str]:
        figures = {"after": {"loss": loss}, "answers": {"seconds": seconds}, "served": {"seconds": seconds}}
        (tmp_path / "evaluation.json").write_text(json.dumps(figures, indent=2))
        return world._hashes(tmp_path)

    assert hashed(0.5, 1.2) == hashed(0.5, 3e-05) != hashed(0.25, 1.2)


def test_the_first_rounds_of_every_kind_come_first_and_one_round_can_be_repeated() -> None:
    every = chosen(None, None)
    assert len(every) == sum(kind.rounds for kind in KINDS.values()) and {number for _, number in every[:13]} == {0}
    assert sum(kind.rounds for name, kind in KINDS.items() if name == "kills") >= 50
    assert chosen(["kills:31"], None) == [("kills", 31)]


def test_the_table_tells_failures_and_what_was_not_played() -> None:
    kills = [Result("kills", 0, 2.0, hit=False), Result("kills", 4, 3.0, fault="bad")]
    results = [*kills, Result("full", 0, 0, skipped="needs root")]
    text = "\n".join(table.lines(results, "1", {"on": "a day"}))
    assert re.search(r"`kills` .*\| 2 of 62, hit 1 \| 1: rounds 4 \| 5 s \|", text)
    assert re.search(r"`full` .*\| needs root \|  \|  \|", text) and text.count("not played") == len(KINDS) - 2
    assert table.MARKS.search(table.PAGE.read_text(encoding="utf-8"))
