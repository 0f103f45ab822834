"""Files of LLaMA-Factory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from steps.shared.contract import StepError
from steps.train.other_tools.llama_factory import TRAINER_DEFAULTS
from tests.steps.train.other_tools.files import LLAMA_FACTORY_YAML, left, loaded, sources, translated, values, why

LEAST = "model_name_or_path: m\nstage: dpo\n"


def test_a_file_becomes_a_recipe_that_loads_and_says_where_each_value_comes_from(tmp_path: Path) -> None:
    found = translated(tmp_path, LLAMA_FACTORY_YAML)
    assert values(found) == {
        "model_id": "Qwen/Qwen3-4B-Instruct-2507", "attn_implementation": "flash_attention_2", "load_in_4bit": True,
        "bf16": True, "lora_r": 12, "lora_alpha": 24, "target_modules": ["q_proj", "v_proj"], "max_length": 2048,
        "chat_template_kwargs": {"enable_thinking": False}, "beta": 0.1, "loss_type": ["sigmoid", "sft"],
        "loss_weights": [1, 0.5], "learning_rate": 5e-6, "lr_scheduler_type": "linear", "warmup_steps": 0.1,
        "optim": "adamw_torch_fused", "num_train_epochs": 3, "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8, "gradient_accumulation_steps": 1, "gradient_checkpointing": False,
        "logging_steps": 10, "eval_steps": 0, "save_steps": 500,
    }  # fmt: skip
    assert loaded(tmp_path, found).model_dump(exclude_unset=True) == values(found)
    told = sources(found)
    assert told["lora_alpha"] == "LLaMA-Factory's default" and told["max_length"] == "line 16: cutoff_len"
    assert told["loss_type"] == "lines 11, 12: pref_loss, pref_ftx"


def test_what_cannot_be_carried_over_is_named(tmp_path: Path) -> None:
    found = translated(tmp_path, LLAMA_FACTORY_YAML)
    assert left(found, matters=True) == {"template", "max_samples", "neftune_noise_alpha", None}
    assert "cutoff_len" in why(found, None)
    assert left(found, matters=False) == {
        "stage", "do_train", "finetuning_type", "dataset", "output_dir", "plot_loss", "report_to",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "argument", "value"),
    [
        ("lora_target: all", "target_modules", ["all-linear"]),
        ("lora_alpha: 7", "lora_alpha", 7),
        ("quantization_bit: 8", "load_in_4bit", False),
        ("quantization_bit: 4\nquantization_method: hqq", "load_in_4bit", False),
        ("flash_attn: disabled", "attn_implementation", "eager"),
        ("pref_bco_weight: 1.0\npref_ftx: 2", "loss_type", ["sigmoid", "bco_pair", "sft"]),
        ("pref_bco_weight: 1.0\npref_ftx: 2", "loss_weights", [0.5, 0.5, 2]),
        ("pref_loss: ipo", "loss_type", ["ipo"]),
        ("adapter_name_or_path: a", "initial_adapter", "a"),
        ("eval_strategy: steps\neval_steps: 20\nearly_stopping_steps: 2", "early_stopping_patience", 2),
        ("metric_for_best_model: loss", "early_stopping_metric", "eval_loss"),
        ("pure_bf16: true", "bf16", True),
        ("lora_dropout: 0.1", "lora_dropout", 0),
    ],
)
def test_values_that_mean_another_thing_are_converted(tmp_path: Path, line: str, argument: str, value: Any) -> None:
    found = translated(tmp_path, f"{LEAST}{line}\n")
    assert values(found)[argument] == value
    loaded(tmp_path, found)


@pytest.mark.parametrize(
    "line",
    [
        "quantization_bit: 8", "adapter_name_or_path: a,b", "adapter_name_or_path: a", "finetuning_type: full",
        "ref_model: m", "bf16: false", "enable_thinking: maybe", "use_galore: true", "additional_target: embed_tokens",
        "metric_for_best_model: accuracy", "lora_target: ''", "report_to: [mlflow, wandb]",
    ],
)  # fmt: skip
def test_values_without_a_counterpart_are_named(tmp_path: Path, line: str) -> None:
    found = translated(tmp_path, f"{LEAST}{line}\n")
    assert line.partition(":")[0] in left(found, matters=True)
    loaded(tmp_path, found)


@pytest.mark.parametrize(
    "line", ["ref_model:", "use_galore: false", "flash_attn: fa3", "pure_bf16: false", "ppo_epochs: 4"]
)
def test_what_has_no_effect_on_what_is_learned_does_not_matter(tmp_path: Path, line: str) -> None:
    assert line.partition(":")[0] in left(translated(tmp_path, f"{LEAST}{line}\n"), matters=False)


@pytest.mark.parametrize(
    "line", ["stage: sft", "finetuning_type: lora", "stage: dpo\npref_loss: simpo", "stage: [dpo]"]
)
def test_other_training_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(
        StepError, match=r"theirs.yaml: this file of LLaMA-Factory cannot become a recipe: (stage|pref_)"
    ):
        translated(tmp_path, f"model_name_or_path: m\n{line}\n")


def test_the_defaults_of_its_trainer_are_those_of_the_installed_transformers() -> None:
    from transformers import TrainingArguments

    theirs = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    assert {name: getattr(theirs[name], "value", theirs[name]) for name in TRAINER_DEFAULTS} == dict(TRAINER_DEFAULTS)
