"""What all rounds begin with: a tiny model, a few rows, and undisturbed executions, of one rank and of two."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.local.state import records
from pipeline.local.state.records import Execution
from pipeline.settings.content import code_key
from tests.paths import ROOT

ROWS = 72
STEPS = ("Champion", "Preprocess", "Train", "Gate", "Merge", "RegisterMerged")
GROUP = "faults"
SETTINGS = """\
pipeline_name: faults
account: {root}/configs/account.yaml
recipe: recipe.yaml
data: rows.jsonl
train:
  instance_type: ml.m5.xlarge
  processes_per_node: {ranks}
gate:
  reward_accuracy_threshold: 0
  min_validation_rows: 1
  max_served_drift: null
register:
  package_group: faults
"""
RECIPE = """\
model_id: {model}
lora_r: 4
lora_alpha: 8
max_length: 512
truncation: cut_prompt
learning_rate: 1e-3
num_train_epochs: 1
per_device_train_batch_size: 4
gradient_accumulation_steps: 1
gradient_checkpointing: false
bf16: false
logging_steps: 2
save_steps: 2
merge_weights: true
"""
# How long the answers and the figures of what is served took, which no two runs share.
SECONDS = re.compile(rb'"seconds": [-+.\deE]+')


@dataclass(frozen=True)
class World:
    """The folder of the undisturbed executions, and what they left."""

    folder: Path
    ids: dict[int, str]  # by the number of ranks

    @property
    def root(self) -> Path:
        """Their local root."""
        return self.folder / "local"

    def execution(self, ranks: int) -> Execution:
        return records.read(self.root, self.ids[ranks])

    def definition(self, ranks: int) -> dict[str, Any]:
        return records.load_definition(self.root, self.ids[ranks])

    def seconds(self, step: str, ranks: int) -> float:
        """How long a step took undisturbed."""
        record = self.execution(ranks).step(step)
        assert record.started and record.ended
        return (record.ended - record.started).total_seconds()

    def results(self, ranks: int) -> dict[str, str]:
        """What every execution of so many ranks must come to."""
        return results(self.root, self.ids[ranks])


def seed(ranks: int) -> int:
    """The training's seed, by which its checkpoints' folder is told from that of the other number of ranks."""
    return 40 + ranks


def make(folder: Path) -> World:
    """The world in this folder; one that the same code made before is used again."""
    key = code_key(ROOT / "steps")[:12]
    ready = folder / f"world-{key}"
    if not (ready / "recipe.yaml").exists():
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir(parents=True)
        _run("-m", "steps.quickstart.tiny_model", "--output", str(folder / "model"))  # one that is there is used again
        rows = (ROOT / "steps" / "quickstart" / "preferences.jsonl").read_text(encoding="utf-8").splitlines(True)
        (ready / "rows.jsonl").write_text("".join(rows[:ROWS]), encoding="utf-8")
        (ready / "recipe.yaml").write_text(RECIPE.format(model=folder / "model"))
    return World(ready, {ranks: _start(ready, ranks) for ranks in (1, 2)})


def _start(ready: Path, ranks: int) -> str:
    """The id of the execution of so many ranks; each has a seed, and so checkpoints, of its own."""
    note = ready / f"ranks-{ranks}.id"
    if note.exists():
        return note.read_text()
    settings = ready / f"ranks-{ranks}.yaml"
    settings.write_text(SETTINGS.format(root=ROOT, ranks=ranks))
    words = ("--local", "--wait", "--json", "--settings", str(settings), "--local-root", str(ready / "local"))
    found: str = json.loads(_run("pipeline.py", "start", *words, "--set", f"Seed={seed(ranks)}"))["execution"]
    note.write_text(found)
    return found


def _run(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the undisturbed execution failed: {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def results(root: Path, execution_id: str) -> dict[str, str]:
    """The hash of each file that must have the same bits: rows, adapter, held-out figures (but for the seconds that
    they took), merged weights.

    A cached step's files lie under the execution that made them.
    """
    found = {}
    for step in records.read(root, execution_id).steps:
        made_by = set(re.findall(rf"/runs/(\w+)/{step.name}/", json.dumps(step.properties)))
        for run in made_by if step.cached else {execution_id}:
            for folder in (root / "s3").glob(f"*/*/*/runs/{run}/{step.name}"):
                found |= {f"{step.name}/{name}": digest for name, digest in _hashes(folder).items()}
    return found


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".parquet", ".safetensors") or file.name == "evaluation.json":
            name = re.sub(r"pipelines-[^/]*", "job", str(file.relative_to(folder)))
            content = file.read_bytes()
            if file.suffix == ".json":
                content = SECONDS.sub(b"", content)
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def environment() -> None:
    """For this process and those that it starts: one thread each, no account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "AWS_EC2_METADATA_DISABLED": "true"}
