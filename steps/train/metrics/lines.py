"""The metric lines of a training log: their names, their form, and the regular expressions that read them back.

One place for both sides: the container prints `line`, the definition renders `DEFINITIONS` as CloudWatch metric
definitions, and a test holds that the second reads the first. Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "[metrics]"
NUMBER = r"([-+]?(?:[0-9]*\.)?[0-9]+(?:[eE][-+]?[0-9]+)?|nan|inf|-inf)"

# name in the log entry (TRL's, or steps/train/loop/system_figures.py's) -> name here
NAMES = {
    "loss": "loss",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "eval_loss": "eval_loss",
    "eval_reward_accuracy": "eval_reward_accuracy",
    "eval_reward_margin": "eval_reward_margin",
    "tokens_per_step": "tokens_per_step",
    "tokens_per_second": "tokens_per_second",
    "computed_tokens_per_second": "computed_tokens_per_second",
    "step_seconds": "step_seconds",
    "mfu": "mfu",
    "gpu_utilization": "gpu_utilization",
    "gpu_memory_gib": "gpu_memory_gib",
    "gpu_power_w": "gpu_power_w",
    "gpu_temperature_c": "gpu_temperature_c",
    "train_samples_per_second": "pairs_per_second",
    "train_runtime": "seconds",
}

DEFINITIONS = [
    {"Name": "train:step", "Regex": r"\[metrics\] step=([0-9]+)/"},
    {"Name": "train:max_steps", "Regex": r"\[metrics\] step=[0-9]+/([0-9]+)"},
    *(
        {"Name": f"train:{name}", "Regex": rf"\[metrics\].* {name}={NUMBER}"}
        for name in NAMES.values()
        if not name.startswith("eval_") and name != "seconds"
    ),
    *(
        {"Name": f"eval:{name.removeprefix('eval_')}", "Regex": rf"\[metrics\].* {name}={NUMBER}"}
        for name in NAMES.values()
        if name.startswith("eval_")
    ),
]


def rename(logs: Mapping[str, float]) -> dict[str, float]:
    """The figures of one TRL log entry under this project's names; figures without a name here are left out."""
    return {name: float(logs[key]) for key, name in NAMES.items() if key in logs}


def system(logs: Mapping[str, float]) -> dict[str, float]:
    """The figures of every single GPU; trackers and history get them, the line only those over all GPUs."""
    return {key: float(value) for key, value in logs.items() if key.startswith("system/")}


def line(step: int, max_steps: int, figures: Mapping[str, float]) -> str:
    """`[metrics] step=12/150 loss=0.5123 …`, one line per log entry."""
    return " ".join([PREFIX, f"step={step}/{max_steps}", *(f"{name}={value:.6g}" for name, value in figures.items())])
