"""Files of `trl dpo`: what they say, and what TRL does where they say nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from steps.train.other_tools.trl import DEFAULTS, RULES, TRL
from tests.steps.train.other_tools.files import TRL_YAML, left, loaded, sources, translated, values, why

LEAST = "model_name_or_path: m\ndataset_name: d\nuse_peft: true\nlora_target_modules: all-linear\n"


def test_a_file_becomes_a_recipe_that_loads_and_says_where_each_value_comes_from(tmp_path: Path) -> None:
    found = translated(tmp_path, TRL_YAML)
    assert values(found) == {
        "model_id": "Qwen/Qwen3-8B", "model_revision": "main", "attn_implementation": "flash_attention_2",
        "load_in_4bit": True, "bnb_4bit_use_double_quant": False, "bf16": True, "lora_r": 32, "lora_alpha": 16,
        "lora_dropout": 0, "target_modules": ["q_proj", "v_proj"], "beta": 0.2, "loss_type": ["sigmoid", "sft"],
        "loss_weights": [1, 0.5], "max_length": 2048, "truncation": "cut_prompt", "learning_rate": 5e-6,
        "lr_scheduler_type": "linear", "warmup_steps": 0.05, "optim": "adamw_torch_fused", "num_train_epochs": 3,
        "per_device_train_batch_size": 2, "per_device_eval_batch_size": 8, "gradient_accumulation_steps": 4,
        "eval_steps": 50, "save_steps": 500,
    }  # fmt: skip
    assert loaded(tmp_path, found).model_dump(exclude_unset=True) == values(found)
    told = sources(found)
    assert told["model_id"] == "line 2: model_name_or_path" and told["beta"] == "line 13"
    assert told["eval_steps"] == "lines 22, 23: eval_strategy, eval_steps"
    assert told["lora_dropout"] == "line 11; 0.05 there, but all dropout is switched off before training"
    assert told["optim"] == "TRL's default"


def test_what_cannot_be_carried_over_is_named(tmp_path: Path) -> None:
    found = translated(tmp_path, TRL_YAML)
    assert left(found, matters=True) == {"report_to", "max_prompt_length"}
    assert why(found, "report_to") == "write wandb_project: NAME"
    assert left(found, matters=False) == {"dataset_name", "use_peft", "save_total_limit", "push_to_hub", "output_dir"}


@pytest.mark.parametrize(
    ("line", "argument", "value"),
    [
        ("disable_dropout: false", "lora_dropout", 0.05),
        ("disable_dropout: false\nlora_dropout: 0.1", "lora_dropout", 0.1),
        ("torch_dtype: float32", "bf16", True),
        ("bf16: false\ndtype: float32", "bf16", False),
        ("loss_type: ipo", "loss_type", ["ipo"]),
        ("lr_scheduler_type: constant_with_warmup", "lr_scheduler_type", "constant_with_warmup"),
        ("lora_dropout: 0", "lora_dropout", 0),
        ("eval_strategy: steps\nlogging_steps: 7", "eval_steps", 7),
        ("eval_strategy: no\neval_steps: 9", "eval_steps", 0),
    ],
)
def test_values_that_mean_another_thing_are_converted(tmp_path: Path, line: str, argument: str, value: Any) -> None:
    assert values(translated(tmp_path, f"{LEAST}{line}\n"))[argument] == value


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("truncation_mode: keep_start", "truncation_mode"),
        ("dtype: float16", "dtype"),
        ("dtype: float32", "dtype"),
        ("fp16: true", "fp16"),
        ("f_divergence_type: js_divergence", "f_divergence_type"),
        ("rpo_alpha: 1.0", "rpo_alpha"),
        ("optim: lion_32bit", "optim"),
        ("lr_scheduler_type: polynomial", "lr_scheduler_type"),
        ("sync_ref_model: true", "sync_ref_model"),
        ("warmup_ratio: 3", "warmup_ratio"),
        ("save_steps: 0.1\neval_strategy: steps\neval_steps: 0.1", "eval_steps"),
        ("eval_strategy: epoch", "eval_strategy"),
        ("beta: -1", "beta"),
        ("max_steps: many", "max_steps"),
        ("no_such_key: 1", "no_such_key"),
    ],
)
def test_values_without_a_counterpart_are_named(tmp_path: Path, line: str, key: str) -> None:
    found = translated(tmp_path, f"{LEAST}{line}\n")
    assert key in left(found, matters=True)
    loaded(tmp_path, found)


@pytest.mark.parametrize("line", ["f_divergence_type: reverse_kl", "adam_beta1: 0.9", "use_dora: false", "fp16: false"])
def test_what_is_off_there_or_as_here_does_not_matter(tmp_path: Path, line: str) -> None:
    assert left(translated(tmp_path, f"{LEAST}{line}\n"), matters=True) == {
        None
    }  # of truncation_mode, which is not set


def test_what_the_file_leaves_out_and_a_recipe_cannot_say_is_named(tmp_path: Path) -> None:
    told = why(translated(tmp_path, "model_name_or_path: m\ndataset_name: d\nmax_length:\n"), None)
    assert "the whole model is trained" in told and "max_length is null" in told
    told = why(translated(tmp_path, "model_name_or_path: m\nuse_peft: true\n"), None)
    assert "lora_target_modules is not set" in told and "truncation_mode is not set" in told


def test_the_defaults_are_those_of_the_installed_trl() -> None:
    from trl import DPOConfig, ModelConfig

    theirs = {field.name: field.default for kind in (DPOConfig, ModelConfig) for field in dataclasses.fields(kind)}
    assert {name: theirs[name] for name in DEFAULTS} == dict(DEFAULTS)
    assert theirs["lora_dropout"] == 0.05 and theirs["disable_dropout"] is True
    assert theirs["use_bnb_nested_quant"] is False and theirs["truncation_mode"] == "keep_start"
    assert theirs["save_total_limit"] is None and theirs["eval_strategy"] == "no" and theirs["bf16"] is None


def test_every_argument_of_the_installed_trl_is_known_or_of_a_known_kind() -> None:
    from trl import DPOConfig, ModelConfig, ScriptArguments
    from trl.scripts.utils import DatasetMixtureConfig

    kinds = (DPOConfig, ModelConfig, ScriptArguments, DatasetMixtureConfig)
    theirs = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    unknown = {name for name in theirs - set(RULES) if not name.startswith(tuple(TRL.families))}
    assert unknown == set()
