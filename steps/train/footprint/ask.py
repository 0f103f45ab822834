"""Memory of a model of any family: asks the code that measures it, which needs torch, in a process of its own.

Nothing is kept on disk: it takes ten to twenty seconds of a core each time. Limits: needs what a training needs where
it runs, and runs none of the code that comes with a model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from steps.train.arguments import TrainArguments
from steps.train.footprint.sizes import Footprint, from_dict

NEEDED = ("torch", "transformers", "peft", "trl")
LIMIT = 180  # seconds
ROOT = Path(__file__).resolve().parents[3]
# Of a process that torchrun started: the one that measures is none of its ranks, and needs no GPU.
OF_RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR",
            "MASTER_PORT")  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """
    Attributes:
        footprint: None where `unknown` says why.
        shares: what becomes 4-bit and gets adapters, as sentences.
        refused: why the recipe cannot be trained on this model.
    """

    footprint: Footprint | None = None
    unknown: str | None = None
    shares: list[str] = field(default_factory=list)
    refused: str | None = None


def measure(recipe: TrainArguments, model_config: Path) -> Measured:
    """
    Args:
        model_config: a config.json, or the folder that it lies in.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return Measured(unknown=f"measuring it needs {', '.join(missing)}, not installed here: pip install '.[local]'")
    if recipe.trust_remote_code:
        return Measured(unknown="trust_remote_code: true: the code that comes with a model is not run here")
    command = [sys.executable, "-m", "steps.train.footprint", "--model", str(model_config.resolve())]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in OF_RANKS}
            | {"CUDA_VISIBLE_DEVICES": ""},
            input=recipe.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Measured(unknown=f"measuring it did not end within {LIMIT} s")
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return Measured(unknown=f"measuring it ended with exit code {done.returncode}: {last}")
    told = json.loads(done.stdout.splitlines()[-1])
    numbers = told.pop("footprint")
    return Measured(footprint=from_dict(numbers) if numbers else None, **told)
