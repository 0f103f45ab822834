"""What the tests of Preprocess share: writing data files, and running the step in this process or a forked one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from steps.preprocess.preprocess import Options, preprocess
from steps.shared.records import Record, read_records


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """Write rows (objects, or raw text as it is) as JSON Lines."""

    def write(rows: Iterable[Any], name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def run_step(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], list[Record], list[dict[str, Any]]]]:
    """Run the step on a path: (the report, the records of both sides by line, the quarantine)."""
    runs = iter(range(1000))

    def run(path: Path, **options: Any):
        output = tmp_path / f"output-{next(runs)}"
        options = {"validation_fraction": 0.5, "max_invalid_fraction": 1, **options}
        preprocess(Options(path, output, **options))
        report = json.loads((output / "report" / "report.json").read_text())
        records = [*read_records(output / "train"), *read_records(output / "validation")]
        lines = (output / "quarantine" / "quarantine.jsonl").read_text().splitlines()
        records.sort(key=lambda record: (record.source_file, record.source_line))
        return report, records, [json.loads(line) for line in lines]

    return run


@pytest.fixture
def run_cli(forked: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m steps.preprocess` in a forked child."""

    def run(*arguments: Any, opt_ml: Path | None = None) -> subprocess.CompletedProcess[str]:
        return forked("-m", "steps.preprocess", *arguments, OPT_ML=str(opt_ml or "/nonexistent"))

    return run
