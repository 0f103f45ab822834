"""The measurement on a CPU with tiny sizes: every part runs and leaves its rows; the figures say nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu import table
from tests.gpu.__main__ import main
from tests.gpu.clock import Deadline, OutOfTime
from tests.gpu.table import Result
from tests.paths import ROOT


@pytest.mark.rehearsal
def test_the_whole_measurement_is_rehearsed(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    command = [sys.executable, "-m", "tests.gpu", "--tiny", "--minutes", "20", "--results", str(results)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    written = results.read_text()
    assert "failed" not in written and "not measured" not in written, done.stdout + done.stderr
    rows = [line.split(" | ") for line in written.splitlines() if line.startswith("| ") and "figures" not in line]
    parts = {row[0].removeprefix("| "): [other[1] for other in rows if other[0] == row[0]] for row in rows}
    assert set(parts) == {"1 attention", "2 step", "3 estimate", "3 job", "4 profile"}
    assert "mistral, GQA, window 16, NF4, bfloat16, packed_sdpa" in parts["1 attention"]
    assert parts["2 step"] == [
        f"tiny, {rows}: {way}"
        for rows in ("when2call", "chat")
        for way in ("train", "trl dpo", "packed, not shared", "shared within a pair")
    ]
    assert parts["3 job"] == [f"tiny: {what}" for what in ("start", "NVML", "SIGTERM", "the next start")]


def test_results_stand_newest_first_and_the_sentence_of_no_gpu_goes(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(table.RESULTS.read_text())
    table.write([Result("2 step", "1B", {"pairs/s": 3.14159, "tokens/s": 12345.6}, "at least 2", True)], 61, path)
    table.write([Result("2 step", "1B | 8B", {"not measured": "20 s were left"})], 62, path)
    text = path.read_text()
    assert table.NOTHING not in text
    assert "| 2 step | 1B | pairs/s 3.14, tokens/s 12,346 | at least 2: met |" in text
    assert text.index("| 2 step | 1B / 8B | not measured 20 s were left |  |") < text.index("pairs/s 3.14")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("words", [[], ["--tiny"]])
def test_without_a_gpu_only_the_rehearsal_runs_and_never_writes_the_results(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="there is no GPU here"):
        main(words)


def test_what_does_not_fit_into_the_minutes_is_named() -> None:
    with pytest.raises(OutOfTime, match="s were left"):
        Deadline(10).check(15)
