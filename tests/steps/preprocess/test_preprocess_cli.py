"""`python -m steps.preprocess` as the container runs it: a process with arguments, output, an exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from steps.shared.records import read_records
from tests.paths import ROOT

SAMPLES = ROOT / "tests" / "data" / "formats"


def test_a_run_ends_with_a_summary(run_cli, tmp_path):
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(20)]
    lines = [*(json.dumps(row) for row in [*rows, rows[0]]), "{"]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    done = run_cli("--input", tmp_path / "data.jsonl", "--output", tmp_path / "out", "--validation-fraction", "0.4")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads((tmp_path / "out" / "report" / "report.json").read_text())["rows"]
    assert done.stdout == (
        f"22 rows = {rows['train']} train + {rows['validation']} validation + 1 duplicate + 1 quarantined\n"
        "  plain: 21 rows\n"
        "  quarantined, not_json: 1\n"
        f"  report: {tmp_path}/out/report/report.html\n"
    )
    assert len(read_records(tmp_path / "out" / "train")) == rows["train"]


def test_a_failure_is_one_error_and_reaches_sagemaker(run_cli, tmp_path):
    root = tmp_path / "ml"
    root.mkdir()
    done = run_cli("--input", tmp_path / "none", "--output", tmp_path / "out", opt_ml=root)
    said = f"{tmp_path}/none: no such file or folder; --input must name a data file or a folder of them"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {said}\n")
    assert (root / "output" / "message").read_text() == said


def test_a_failure_inside_a_pipeline_names_what_its_user_gave(run_cli, tmp_path):
    data = tmp_path / "processing" / "input" / "data"
    data.mkdir(parents=True)
    (data / "a.jsonl").write_text("{\n")
    (tmp_path / "config").mkdir()
    given = {"S3Input": {"S3Uri": "s3://mine/pairs/", "LocalPath": "/opt/ml/processing/input/data"}}
    (tmp_path / "config" / "processingjobconfig.json").write_text(json.dumps({"ProcessingInputs": [given]}))
    done = run_cli("--input", data, "--output", tmp_path / "out", opt_ml=tmp_path)
    assert done.returncode == 1
    first, *_, fix, _ = done.stderr.splitlines()
    assert first == "error: s3://mine/pairs/: 1 of 1 rows (100.0%) are invalid; 10.0% are allowed"
    assert fix == "Fix them, or raise --set MaxInvalidFraction=X."
    assert (tmp_path / "output" / "message").read_text() == done.stderr.removeprefix("error: ").rstrip("\n")


def test_a_bad_argument_is_one_error_too(run_cli, tmp_path):
    done = run_cli("--input", SAMPLES, "--output", tmp_path / "out", "--validation-fraction", "a tenth")
    said = "argument --validation-fraction: invalid float value: 'a tenth'"
    assert (done.returncode, done.stderr) == (1, f"error: python -m steps.preprocess: {said}; see --help\n")


def test_help_lists_the_layouts(run_cli):
    done = run_cli("--help")
    assert done.returncode == 0
    assert all(f"  {path.stem} " in done.stdout for path in SAMPLES.iterdir())


@pytest.mark.parametrize("megabytes", [24, 48])  # in one process, and in several
def test_a_run_killed_in_the_middle_leaves_nothing_that_looks_whole(tmp_path, run_cli, megabytes):
    data = tmp_path / "data.jsonl"
    with open(data, "w") as file:
        for number in range(megabytes * 1000):
            file.write(json.dumps({"prompt": f"p{number}", "chosen": "a" * 960, "rejected": "b"}) + "\n")
    command = [sys.executable, "-m", "steps.preprocess", "--input", data, "--output", tmp_path / "out"]
    process = subprocess.Popen([*command, "--workers", "2"], cwd=ROOT)
    while not any((tmp_path / "out").glob(".incomplete/train/*")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".incomplete"]
    assert run_cli("--input", data, "--output", tmp_path / "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["quarantine", "report", "train", "validation"]


def test_the_step_imports_neither_torch_nor_the_sdk():
    heavy = "torch pandas datasets transformers sagemaker boto3 pipeline"
    code = f"import sys, steps.preprocess.__main__; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
