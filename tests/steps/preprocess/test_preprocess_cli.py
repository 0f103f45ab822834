"""`python -m steps.preprocess` as the container runs it: a process with arguments, output, an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from steps.records import read_records

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "data" / "formats"


def test_a_run_ends_with_a_summary(run_cli, tmp_path):
    done = run_cli("--input", SAMPLES, "--output", tmp_path / "out", "--validation-fraction", "0.4")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads((tmp_path / "out" / "report" / "report.json").read_text())["rows"]
    layouts = "3 when2call, 2 chat, 2 implicit-prompt, 2 plain, 2 sharegpt, 2 ultrafeedback"
    assert done.stdout == (
        f"rows read 13 ({layouts}) from 6 file(s)\n"
        f"  train {rows['train']}  validation {rows['validation']}  duplicate 0  quarantined 0\n"
        "  kept, with a faulty tool call in rejected: 1 undeclared\n"
    )
    assert len(read_records(tmp_path / "out" / "train")) == rows["train"]


def test_a_failure_is_one_error_and_reaches_sagemaker(run_cli, tmp_path):
    root = tmp_path / "ml"
    root.mkdir()
    done = run_cli("--input", tmp_path / "none", "--output", tmp_path / "out", opt_ml=root)
    said = f"{tmp_path}/none: no such file or folder; --input must name a data file or a folder of them"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {said}\n")
    assert (root / "output" / "message").read_text() == said


def test_a_bad_argument_is_one_error_too(run_cli, tmp_path):
    done = run_cli("--input", SAMPLES, "--output", tmp_path / "out", "--validation-fraction", "a tenth")
    said = "argument --validation-fraction: invalid float value: 'a tenth'"
    assert (done.returncode, done.stderr) == (1, f"error: python -m steps.preprocess: {said}; see --help\n")


def test_help_lists_the_layouts(run_cli):
    done = run_cli("--help")
    assert done.returncode == 0
    assert all(f"  {path.stem} " in done.stdout for path in SAMPLES.iterdir())


def test_a_run_killed_in_the_middle_leaves_nothing_that_looks_whole(tmp_path, run_cli):
    fifo = tmp_path / "in" / "data.jsonl"
    fifo.parent.mkdir()
    rows = "".join(json.dumps({"prompt": f"p{n}", "chosen": "a", "rejected": "b"}) + "\n" for n in range(3000))
    fifo.write_text(rows)
    os.mkfifo(fifo.with_name("endless.jsonl"))  # the second file never comes: the run waits in the middle
    command = [sys.executable, "-m", "steps.preprocess", "--input", fifo.parent, "--output", tmp_path / "out"]
    process = subprocess.Popen(command, cwd=ROOT)
    staged = tmp_path / "out" / ".incomplete" / "train" / "part-00000.parquet.tmp"
    for _ in range(600):
        if staged.exists() and staged.stat().st_size > 10_000:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".incomplete"]
    fifo.with_name("endless.jsonl").unlink()
    assert run_cli("--input", fifo.parent, "--output", tmp_path / "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["quarantine", "report", "train", "validation"]


def test_the_step_imports_neither_torch_nor_the_sdk():
    heavy = "torch pandas datasets transformers sagemaker boto3 pipeline"
    code = f"import sys, steps.preprocess.__main__; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
