"""What executors do, without Spark: any cut of the files gives every line once, and the Python engine's bytes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.collect.captures import CaptureFiles
from steps.collect.collect import collect
from steps.collect.join.engine import PythonEngine
from steps.collect.join.join import Join
from steps.collect.join.look import Terms
from steps.collect.options import Options
from steps.collect.redact import Redactor
from steps.collect.spark.shares import Share, in_order, loads, look_at, make, shares
from steps.shared.contract import StepError
from tests.steps.collect import many_kinds
from tests.steps.collect.captured import capture, write

NOW = datetime(2026, 12, 1, tzinfo=UTC)
TERMS = Terms(frozenset(), None, NOW)  # nobody said anything: lines that are no captures are told of, others counted


def sent(value: Any) -> Any:
    """As it comes out in another process."""
    return pickle.loads(pickle.dumps(value))


class InShares(PythonEngine):
    """The Spark engine's work, a share after the other in this process, all that executors get and give pickled."""

    def __init__(self, share_bytes: int) -> None:
        self.share_bytes = share_bytes

    def join(self, files: CaptureFiles, terms: Terms, join: Join) -> None:
        terms = Terms(frozenset(terms.spoken_of), terms.max_age_days, terms.now)
        parts = shares(files, self.share_bytes)
        tasks = loads(parts, self.share_bytes)
        found = [seen for task in tasks for seen in sent(list(look_at(*sent((task, files, terms)))))]
        for seen in in_order(zip(parts, found, strict=True)):
            join.passed(seen.passed)
            for looked in seen.looked:
                join.add(looked)

    def rows(self, files: CaptureFiles, items: Sequence[Any], options: Options, redactor: Redactor) -> Iterator[bytes]:
        for at in range(0, len(items), 7):
            for made in sent(list(make(*sent((items[at : at + 7], files, options))))):
                redactor.counts.update(made.redacted)
                yield made.lines


@given(st.lists(st.binary(max_size=9), max_size=4), st.integers(1, 12))
def test_every_line_is_in_one_share_with_its_number_and_place_however_files_are_cut(
    texts: list[bytes], share_bytes: int
) -> None:
    texts = [text.replace(b"a", b"\n") for text in texts]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, text in enumerate(texts):
            (folder / f"{number}.jsonl").write_bytes(text)
        files = CaptureFiles(folder)
        parts = shares(files, share_bytes)
        seen = list(in_order(zip(parts, look_at(parts, files, TERMS), strict=True)))
        places = [looked.place for one in seen for looked in one.looked]
        assert places == [place for place, _ in files.lines()]
        assert sum(one.lines for one in seen) == sum(
            text.count(b"\n") + (not text.endswith(b"\n")) for text in texts if text
        )


@pytest.mark.parametrize("share_bytes", [50, 1000, 4096, 10**9])
def test_shares_in_order_make_the_python_engines_bytes_of_lines_of_every_kind(tmp_path: Path, share_bytes: int) -> None:
    captures, feedback, data = many_kinds.make(tmp_path, 120)
    options = {"data": data, "max_feedback_share": 0.2, "max_age_days": 30, "now": NOW,
               "redact": ("mail", "phone"), "redact_patterns": ("word ",)}  # fmt: skip
    whole = collect(Options(captures, feedback, tmp_path / "python", **options))
    cut = collect(Options(captures, feedback, tmp_path / "shares", **options), InShares(share_bytes))

    assert many_kinds.contents(tmp_path / "python") == many_kinds.contents(tmp_path / "shares")
    assert whole.summary() == cut.summary()
    assert {state.value for state, count in whole.captures.items() if count} >= {
        "paired", "over_share", "neutral", "no_feedback", "duplicate", "too_old", "truncated", "error", "unreadable",
    }  # fmt: skip
    assert whole.redacted["mail"] and whole.redacted["own"]


def test_small_shares_are_one_task_and_keep_their_order() -> None:
    parts = [Share(number, 0, size, size) for number, size in enumerate((3, 3, 3, 9, 12, 1, 8))]
    assert [[share.file for share in task] for task in loads(parts, 10)] == [[0, 1, 2], [3], [4], [5, 6]]
    assert loads([], 10) == []


def test_a_file_that_is_not_as_long_as_when_it_was_shared_out_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [capture("a", "Hi", "Hello")])
    files = CaptureFiles(tmp_path)
    parts = shares(files, 100)
    write(tmp_path / "a.jsonl", [capture("a", "Hi", "Hello there")])
    with pytest.raises(StepError, match=r"a\.jsonl: changed while it was read; run again when it is complete"):
        list(look_at(parts, files, TERMS))


def test_a_file_that_an_executor_cannot_read_is_named_in_one_line(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [capture("a", "Hi", "Hello")])
    files = CaptureFiles(tmp_path)
    parts = shares(files, 100)
    files.paths[0].unlink()
    with pytest.raises(StepError, match=r"^\S+a\.jsonl: No such file or directory$"):
        list(look_at(parts, files, TERMS))
