"""What earlier runs made of captures and feedback: which runs, and which of their files quote rows.

A run whose Collect names one of the ids loses all its files of rows, not single rows: Parquet and pages do not say
which row came of what, and a later run makes its own. Its weights, figures and counts stay, and so does what is
registered. Of a run without a Collect of its own, whose pairs are then another run's (a cached step), the same is
assumed where its Preprocess read pairs of feedback, or has left nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.forgetting.places import RUNS, Edit, Place

COLLECT = "Collect/"
REPORT = "Preprocess/report/report.json"
HASHES = "Preprocess/report/ids/"  # hashes of rows, and no text
ROWS = (".jsonl", ".parquet", ".html", "probes.json")  # what quotes rows: as texts, pages and token ids
QUOTES = ("samples", "examples")  # members of Preprocess's report that quote rows
FROM_FEEDBACK = "feedback:"  # before a file's name in Preprocess's report


@dataclass(frozen=True)
class Derived:
    """
    Attributes:
        runs: execution ids.
        delete: files that go.
        change: files that lose what they quote.
    """

    runs: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    change: dict[str, Edit] = field(default_factory=dict)


def find(place: Place, ids: set[str], also: Iterable[str] = ()) -> Derived:
    """
    Args:
        ids: of captures that go, or that something is said of that goes.
        also: executions that have left something elsewhere.
    """
    by_run: dict[str, list[str]] = {run: [] for run in also}
    for name in place.names(RUNS):
        by_run.setdefault(name.split("/")[1], []).append(name)
    named = {run for run, names in by_run.items() if _names_any(place, _below(run, names, COLLECT), ids)}
    found = Derived()
    for run, names in sorted(by_run.items()):
        if run in named or (named and not _below(run, names, COLLECT) and _may_have_fed(place, run, names)):
            found.runs.append(run)
            found.delete.extend(name for name in names if name.endswith(ROWS) and HASHES not in name)
            found.change.update({name: without_quotes for name in names if name == f"{RUNS}/{run}/{REPORT}"})
    return found


def without_quotes(report: bytes) -> bytes:
    """Preprocess's report without the rows that it quotes."""
    value = orjson.loads(report) | {key: {} for key in QUOTES}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _below(run: str, names: list[str], folder: str) -> list[str]:
    return [name for name in names if name.startswith(f"{RUNS}/{run}/{folder}")]


def _names_any(place: Place, names: list[str], ids: set[str]) -> bool:
    rows = (name for name in names if name.endswith(".jsonl"))
    return any(
        ids & _strings(orjson.loads(line)) for _, content in place.contents(rows) for line in content.splitlines()
    )


def _strings(row: Any) -> set[str]:
    """The ids in a row's provenance; and of a line that was left out the name of its file, which `try` names by one."""
    if not isinstance(row, dict):
        return set()
    file = str(row.get("file", "")).rpartition("/")[2].removesuffix(".jsonl")
    return {file} | _ids(row.get("provenance"))


def _ids(value: Any) -> set[str]:
    if not isinstance(value, Mapping):
        return set()
    own = value.get("inference_ids")
    found = {one for one in own if isinstance(one, str)} if isinstance(own, list) else set()
    return found.union(*(_ids(part) for part in value.values()))


def _may_have_fed(place: Place, run: str, names: list[str]) -> bool:
    reports = [content for _, content in place.contents(_below(run, names, REPORT))]
    if not reports:
        return True
    return any(file.startswith(FROM_FEEDBACK) for file in orjson.loads(reports[0]).get("files", {}))
