"""What tells one run from another: only a run of the same fingerprint continues a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from steps.shared.hub import is_hub_name
from steps.shared.weights.identity import identity
from steps.train.arguments import TrainArguments
from steps.train.loop import checkpoints
from steps.train.rows.tokenise import Pair

# Arguments that change how a run is watched or where it lies, not what comes out of it.
LEFT_OUT = {
    "output_dir", "train_data", "validation_data", "model_id", "base_model_name", "logging_steps", "eval_steps",
    "save_steps", "save_total_limit", "dataloader_num_workers", "ddp_timeout", "mlflow_uri", "mlflow_experiment_name",
    "wandb_project", "run_name", "merge_weights", "per_device_eval_batch_size",
    "initial_adapter", "continue_from_champion", "ref_log_probs_cache", "champion", "champion_version",
    "max_left_out_fraction", "evaluate_served", "evaluate_answers", "answers_max_new_tokens", "answers_max_minutes",
    "tool_call_parser",
}  # fmt: skip

# The modules whose code decides the result of a training: how rows become batches, what is loaded, each step, the
# evaluations that early stopping looks at, and how a checkpoint is continued. The rows' tokens, the arguments and the
# weights that a run begins with are hashed themselves, so the code that reads or checks them is not. A test fails for
# a module of a training that is neither here nor in its list of those that do not decide the result.
DECIDES = (
    "steps.shared.model_class",
    "steps.train.prepare",
    "steps.train.rows.tokenise",
    "steps.train.model.adapter",
    "steps.train.model.base_config",
    "steps.train.model.blocks",
    "steps.train.model.fsdp_cpu",
    "steps.train.model.initial_adapter",
    "steps.train.model.language_part",
    "steps.train.model.load",
    "steps.train.model.lora",
    "steps.train.model.router",
    "steps.train.model.unfit_layers",
    "steps.train.shared_prompts.attention",
    "steps.train.shared_prompts.batches",
    "steps.train.shared_prompts.grouping",
    "steps.train.shared_prompts.model",
    "steps.train.shared_prompts.row",
    "steps.train.shared_prompts.stateful_layers",
    "steps.train.shared_prompts.states",
    "steps.train.loop.checkpoints",
    "steps.train.loop.collator",
    "steps.train.loop.config",
    "steps.train.loop.early_end",
    "steps.train.loop.held_out_evaluation",
    "steps.train.loop.reference",
    "steps.train.loop.ties",
    "steps.train.loop.reference_cache",
    "steps.train.loop.trainer",
    "steps.train.evaluation.figures",
    "steps.train.evaluation.held_out",
    "steps.train.evaluation.log_probs",
    "steps.train.runtime.nodes",
    "steps.train.runtime.ranks",
)
CHECKOUT = Path(__file__).resolve().parents[3]

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes")


def versions() -> dict[str, str]:
    """The versions of the libraries that decide on a run's figures."""
    return {name: version(name) for name in LIBRARIES}


def hash_rows(train_pairs: Sequence[Pair], validation_pairs: Sequence[Pair]) -> str:
    """The hash of the tokens that are trained and evaluated on."""
    rows = hashlib.sha256()
    for pair in [*train_pairs, *validation_pairs]:
        rows.update(json.dumps(vars(pair)).encode())
    return rows.hexdigest()


def of_run(arguments: TrainArguments, rows_hash: str, initial: str | None) -> str:
    """What decides the outcome: the tokens, the base, the hash of the adapter that training starts from, the
    arguments, and the code of `DECIDES`.

    Raises:
        StepError: a file of the base's weights is not whole.
    """
    named = arguments.model_id  # a hub's name says with its revision which model it is, a folder's name does not
    return checkpoints.fingerprint(
        {
            "rows": rows_hash,
            "base": named if is_hub_name(named) else identity(Path(named)),
            "initial_adapter": initial,
            "code": {module: _source(module) for module in DECIDES},
            "libraries": versions(),
            "arguments": arguments.model_dump(exclude=LEFT_OUT),
        }
    )


def _source(module: str) -> str:
    return (CHECKOUT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
