"""The answers that are kept for a later check, in a file of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from steps.train.evaluation.figures import RowMargin
from steps.train.rows.tokenise import Pair
from steps.train.served.probes import FILE, PROBE_TOKENS, PROBES, find, write

ROW = RowMargin("a", -10.0, -12.0, -11.0, -11.0, 5, 4, "chat", False)


def pair(id: str, prompt: int, mask: list[int]) -> Pair:
    return Pair(id, list(range(prompt)), [100 + token for token in range(len(mask))], mask, [7], [1], "chat", False)


def test_the_shortest_answers_that_count_whole_are_kept_up_to_their_last_token() -> None:
    pairs = [
        pair("long", 90, [1, 1]),
        pair("cut", 3, [1, 1, 0]),  # nothing counts behind the stop token
        pair("tool", 1, [1, 0, 1]),  # a tool's result stands in it
        pair("none", 1, [0]),
        pair("far", PROBE_TOKENS, [1]),
        *(pair(f"more-{number}", 10 + number, [1]) for number in range(PROBES)),
    ]
    rows = [replace(ROW, id=one.id, chosen=-float(place)) for place, one in enumerate(pairs)]
    found = find(pairs, rows)
    assert [probe["id"] for probe in found] == ["cut", "more-0", "more-1", "more-2"]
    assert found[0] == {"id": "cut", "input_ids": [0, 1, 2, 100, 101], "completion_at": 3, "log_prob": -1.0}


def test_without_probes_there_is_no_file_nor_that_of_an_earlier_run(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert not list(tmp_path.iterdir())
    kept = [{"id": "cut", "input_ids": [0, 1], "completion_at": 1, "log_prob": -1.0}]
    write(tmp_path, kept)
    assert json.loads((tmp_path / FILE).read_text()) == kept
    write(tmp_path, [])
    assert not list(tmp_path.iterdir())
