"""Who reads the captures: what an engine must do, and the one that is this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from steps.collect.answers import Answer
from steps.collect.captures import CaptureFiles
from steps.collect.join.join import Join
from steps.collect.join.look import Looker, Terms
from steps.collect.options import Options
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.collect.write import Rows
from steps.preprocess.read.inputs import find_inputs
from steps.preprocess.read.sources import read_rows


class Engine(Protocol):
    """The parts of the work that grow with the captures and the given data; all engines give the same bytes."""

    def join(self, files: CaptureFiles, terms: Terms, join: Join) -> None:
        """Hand every line to the join, in their order."""

    def count_rows(self, path: Path) -> int:
        """Rows of the given data, good or bad, as Preprocess reads it; raises as it does where there are none."""

    def rows(
        self, files: CaptureFiles, items: Sequence[Pair | Answer], options: Options, redactor: Redactor
    ) -> Iterator[bytes]:
        """Their lines in the output, in their order; what was taken out is counted in `redactor`."""


def rows_in(files: Iterable[tuple[str, Path]]) -> int:
    """Rows of files of the given data, by their labels."""
    return sum(1 for label, file in files for _ in read_rows(label, file))


class PythonEngine:
    """This process, a line after the other; of captures that nobody spoke of nothing is held."""

    def join(self, files: CaptureFiles, terms: Terms, join: Join) -> None:
        looker, passed = Looker(terms), 0
        for place, line in files.lines():
            looked = looker.look(place, line)
            if looked is None:
                passed += 1
            else:
                join.add(looked)
        join.passed(passed)

    def count_rows(self, path: Path) -> int:
        return rows_in(find_inputs(path).files)

    def rows(
        self, files: CaptureFiles, items: Sequence[Pair | Answer], options: Options, redactor: Redactor
    ) -> Iterator[bytes]:
        rows = Rows(files, redactor)
        return (rows.line(item) for item in items)
