"""The figures of the canary set."""

from __future__ import annotations

from steps.shared.records import OF_CANARY, Record
from steps.train.evaluation import canary
from steps.train.evaluation.champion import _canary
from steps.train.evaluation.figures import RowMargin


def margin(name: str, by: float) -> RowMargin:
    return RowMargin(name, by, 0.0, 0.0, 0.0, 3, 3, "chat", False)


def test_only_rows_of_the_set_count() -> None:
    rows = [margin("a", 1.0), margin("b", -1.0), margin("c", 1.0), margin("d", 0.0)]
    found = canary.section(rows, {"b", "c", "d"}, 0.1)
    assert found is not None
    assert (found["rows"], found["ties"], found["reward_accuracy"]) == (3, 1, 0.5)
    assert canary.section(rows, {"left out"}, 0.1) is None


def test_the_champion_is_compared_on_the_same_rows() -> None:
    own, theirs = [margin("a", 1.0), margin("b", -1.0)], [margin("a", -1.0), margin("b", 1.0)]
    found = _canary(own, theirs, {"b"}, 0.1)["canary"]
    assert (found["rows"], found["wins"], found["losses"]) == (1, 0, 1)
    assert found["champion"]["reward_accuracy"] == 1 and found["candidate"]["reward_accuracy"] == 0
    assert _canary(own, theirs, frozenset(), 0.1) == {}


def test_the_rows_of_the_set_are_known_by_their_file() -> None:
    def record(name: str, file: str) -> Record:
        return Record(name, [], [], [], None, "chat", file, 1)

    assert canary.ids([record("a", f"{OF_CANARY}a.jsonl"), record("b", "canary.jsonl")]) == {"a"}
