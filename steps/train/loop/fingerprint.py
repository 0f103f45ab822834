"""What tells one run from another: only a run of the same fingerprint continues a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from steps.shared.hub import is_hub_name
from steps.train.arguments import TrainArguments
from steps.train.loop import checkpoints
from steps.train.model.identity import identity
from steps.train.rows.tokenise import Pair

# Arguments that change how a run is watched or where it lies, not what comes out of it.
LEFT_OUT = {
    "output_dir", "train_data", "validation_data", "model_id", "base_model_name", "logging_steps", "eval_steps",
    "save_steps", "save_total_limit", "dataloader_num_workers", "ddp_timeout", "mlflow_uri", "mlflow_experiment_name",
    "wandb_project", "run_name", "merge_weights", "per_device_eval_batch_size",
    "initial_adapter", "continue_from_champion", "ref_log_probs_cache", "champion", "champion_version",
}  # fmt: skip

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes")


def versions() -> dict[str, str]:
    """The versions of the libraries that decide on a run's figures."""
    return {name: version(name) for name in LIBRARIES}


def hash_rows(train_pairs: Sequence[Pair], validation_pairs: Sequence[Pair]) -> str:
    """The hash of the tokens that are trained and evaluated on."""
    rows = hashlib.sha256()
    for pair in [*train_pairs, *validation_pairs]:
        rows.update(json.dumps(asdict(pair)).encode())
    return rows.hexdigest()


def of_run(arguments: TrainArguments, rows_hash: str, initial: str | None) -> str:
    """What decides the outcome: the tokens, the base, the hash of the adapter that training starts from, the
    arguments, and this very code.

    Raises:
        StepError: a file of the base's weights is not whole.
    """
    named = arguments.model_id  # a hub's name says with its revision which model it is, a folder's name does not
    return checkpoints.fingerprint(
        {
            "rows": rows_hash,
            "base": named if is_hub_name(named) else identity(Path(named)),
            "initial_adapter": initial,
            "code": {path.name: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")},
            "libraries": versions(),
            "arguments": arguments.model_dump(exclude=LEFT_OUT),
        }
    )
