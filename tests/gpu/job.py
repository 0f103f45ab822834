"""Part 3: Train as a job starts it: its first step, NVML's figures, SIGTERM and the checkpoint, the next start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.gpu import made
from tests.gpu.clock import Deadline
from tests.gpu.sizes import Sizes
from tests.gpu.table import Result
from tests.paths import ROOT

PART = "3 job"
ROWS = 240
STEP = re.compile(r"\[metrics\] step=(\d+)/\d+ loss=")
NVML = re.compile(r" gpu_(\w+)=(\S+)")
SETTINGS = {
    "fsdp": "false", "load_in_4bit": "true", "bf16": "true", "lora_r": "16", "learning_rate": "1e-5",
    "loss_type": "sigmoid", "per_device_train_batch_size": "4", "gradient_accumulation_steps": "2",
    "gradient_checkpointing": "true", "logging_steps": "1", "save_steps": "100000", "eval_steps": "100000",
    "evaluate_served": "true", "evaluate_answers": "4", "answers_max_new_tokens": "16", "merge_weights": "false",
}  # fmt: skip


@dataclass
class Said:
    """A process's lines, with the seconds after its start at which they came, and its exit code."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    code: int = 0
    seconds: float = 0.0

    def at(self, found: re.Pattern[str], number: int = 1) -> float:
        """When the `number`-th line that matches came.

        Raises:
            SystemExit: there is none.
        """
        moments = [moment for moment, line in self.lines if found.search(line)]
        if len(moments) < number:
            raise SystemExit(f"no line {found.pattern!r}: {''.join(line for _, line in self.lines[-30:])}")
        return moments[number - 1]


def measure(sizes: Sizes, folder: Path, deadline: Deadline) -> Iterator[Result]:
    name, (model_type, config) = next(iter(sizes.models.items()))
    model = folder / name
    if not model.exists():
        made.model(model_type, config, model)
    _rows(folder)
    deadline.check(40)
    output = folder / "job"
    places = {"model_id": model, "output_dir": output, "train_data": folder / "pairs" / "train",
              "validation_data": folder / "pairs" / "validation", "max_steps": sizes.job_steps}  # fmt: skip
    words = [str(word) for key, value in (SETTINGS | places).items() for word in (f"--{key}", value)]
    recipe = str(ROOT / "configs" / "recipes" / "quickstart.yaml")
    command = [sys.executable, "steps/train/train.py", "--config", recipe, *words]
    middle = sizes.job_steps // 2
    stopped = _run(
        command, deadline, stop_at=lambda line: bool((found := STEP.search(line)) and int(found[1]) >= middle)
    )
    signalled = stopped.at(re.compile(rf"step={middle}/"))
    yield Result(PART, f"{name}: start", {"s to the first step": stopped.at(STEP)})
    yield Result(PART, f"{name}: NVML", _nvml(stopped))
    yield _interrupted(name, stopped, signalled, output)
    deadline.check(30)
    continued = _run(command, deadline)
    if continued.code:
        raise SystemExit("".join(line for _, line in continued.lines[-40:]))
    first = int(next(found[1] for _, line in continued.lines if (found := STEP.search(line))))
    served = json.loads((output / "evaluation.json").read_text())["served"]
    figures: dict[str, float | str] = {"continued at step": first, "s in all": continued.seconds}
    figures |= {"s served": served["seconds"]} if served["evaluated"] else {"not served": served["reason"]}
    yield Result(PART, f"{name}: the next start", figures, "continues", first > 1)


def _rows(folder: Path) -> None:
    rows = (ROOT / "steps" / "quickstart" / "preferences.jsonl").read_text(encoding="utf-8").splitlines()[:ROWS]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    command = ["-m", "steps.preprocess", "--input", str(folder / "rows.jsonl"), "--output", str(folder / "pairs")]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _run(command: list[str], deadline: Deadline, stop_at: Callable[[str], bool] | None = None) -> Said:
    """Run a training to its end, or until SIGTERM has ended it, which it gets at a line of its log."""
    started, said = time.perf_counter(), Said()
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            said.lines.append((time.perf_counter() - started, line))
            if deadline.left < 0:
                process.kill()
            if stop_at and stop_at(line):
                process.send_signal(signal.SIGTERM)
                stop_at = None
    said.code, said.seconds = process.returncode, time.perf_counter() - started
    deadline.check(0)
    return said


def _nvml(said: Said) -> dict[str, float | str]:
    last = next((line for _, line in reversed(said.lines) if STEP.search(line)), "")
    return {name: float(value) for name, value in NVML.findall(last)} or {"none": "there is no NVML here"}


def _interrupted(name: str, stopped: Said, signalled: float, output: Path) -> Result:
    checkpoints = sorted((output / "checkpoints").glob("checkpoint-*"))
    size = sum(path.stat().st_size for path in checkpoints[-1].rglob("*") if path.is_file()) if checkpoints else 0
    figures: dict[str, float | str] = {"s to its end": stopped.seconds - signalled, "checkpoint MB": size / 1e6}
    whole = stopped.code != 0 and len(checkpoints) == 1
    return Result(PART, f"{name}: SIGTERM", figures, "a checkpoint, and an exit code", whole)
