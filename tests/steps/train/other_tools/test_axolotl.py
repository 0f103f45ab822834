"""Files of axolotl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steps.shared.contract import StepError
from tests.steps.train.other_tools.files import AXOLOTL_YAML, left, loaded, sources, translated, values, why

LEAST = "base_model: m\nrl: dpo\nadapter: lora\nlora_target_linear: true\n"


def test_a_file_becomes_a_recipe_that_loads_and_says_where_each_value_comes_from(tmp_path: Path) -> None:
    found = translated(tmp_path, AXOLOTL_YAML)
    assert values(found) == {
        "model_id": "mistralai/Mistral-7B-Instruct-v0.2", "attn_implementation": "flash_attention_2",
        "load_in_4bit": False, "bf16": True, "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0,
        "target_modules": ["all-linear"], "max_length": 4096, "beta": 0.3, "learning_rate": 1e-4,
        "lr_scheduler_type": "cosine", "warmup_steps": 0.03, "optim": "adamw_torch", "num_train_epochs": 3,
        "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "gradient_accumulation_steps": 4,
        "gradient_checkpointing": True, "save_total_limit": 4, "run_name": "first",
        "fsdp_config": {
            "version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "reshard_after_forward": True,
            "transformer_layer_cls_to_wrap": ["MistralDecoderLayer"], "state_dict_type": "FULL_STATE_DICT",
        },
    } | {"fsdp_config": {"transformer_layer_cls_to_wrap": ["MistralDecoderLayer"]}}  # fmt: skip
    assert loaded(tmp_path, found).model_dump(exclude_unset=True) == values(found)
    told = sources(found)
    assert told["max_length"] == "line 12: sequence_len" and told["warmup_steps"] == "axolotl's default"
    assert "8 bits" in told["optim"] and "offloading" in told["gradient_checkpointing"]


def test_what_cannot_be_carried_over_is_named(tmp_path: Path) -> None:
    found = translated(tmp_path, AXOLOTL_YAML)
    assert left(found, matters=True) == {
        "load_in_8bit", "chat_template", "lora_modules_to_save", "added_tokens_overrides", "evals_per_epoch",
        "special_tokens",
    }  # fmt: skip
    assert left(found, matters=False) == {
        "model_type", "rl", "datasets", "val_set_size", "sample_packing", "adapter", "tf32", "saves_per_epoch",
        "wandb_project", "fsdp_config",
    }  # fmt: skip
    assert why(found, "wandb_project") == "has no value there"


@pytest.mark.parametrize(
    ("line", "argument", "value"),
    [
        ("micro_batch_size: 2\nbatch_size: 16", "gradient_accumulation_steps", 8),
        ("rpo_alpha: 0.5", "loss_weights", [1, 0.5]),
        ("dpo_loss_type: [hinge, sft]\ndpo_loss_weights: [1, 2]", "loss_weights", [1, 2]),
        ("trl: {beta: 0.4, use_vllm: false}\nrl_beta: 0.2", "beta", 0.4),
        ("dpo_beta: 0.2", "beta", 0.2),
        ("revision_of_model: v1", "model_revision", "v1"),
        ("excess_length_strategy: drop", "truncation", "drop"),
        ("sdp_attention: true", "attn_implementation", "sdpa"),
        ("early_stopping_patience: 3\neval_steps: 10", "early_stopping_patience", 3),
        ("lora_model_dir: ./before", "initial_adapter", "./before"),
        ("chat_template_kwargs: {enable_thinking: false}", "chat_template_kwargs", {"enable_thinking": False}),
    ],
)
def test_values_that_mean_another_thing_are_converted(tmp_path: Path, line: str, argument: str, value: Any) -> None:
    found = translated(tmp_path, f"{LEAST}{line}\n")
    assert values(found)[argument] == value
    loaded(tmp_path, found)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("batch_size: 16\nmicro_batch_size: 32", "batch_size"),
        ("rpo_alpha: 1\ndpo_loss_type: [hinge]", "rpo_alpha"),
        ("eval_steps: 0.25", "eval_steps"),
        ("early_stopping_patience: 3", "early_stopping_patience"),
        ("lora_model_dir: ./before", "lora_model_dir"),
        ("excess_length_strategy: truncate", "excess_length_strategy"),
        ("peft_use_dora: true", "peft_use_dora"),
        ("optimizer: muon", "optimizer"),
        ("lr_scheduler: rex", "lr_scheduler"),
        ("tensor_parallel_size: 2", "tensor_parallel_size"),
        ("plugins: [axolotl.integrations.liger.LigerPlugin]", "plugins"),
        ("fsdp_config: fsdp.json", "fsdp_config"),
        ("trl: 3", "trl"),
    ],
)
def test_values_without_a_counterpart_are_named(tmp_path: Path, line: str, key: str) -> None:
    found = translated(tmp_path, f"{LEAST}{line}\n")
    assert key in left(found, matters=True)
    loaded(tmp_path, found)


@pytest.mark.parametrize(
    "line",
    [
        "chat_template: tokenizer_default", "evals_per_epoch: 0", "rpo_alpha: 0", "trl: {}", "fsdp_config: {}",
        "dpo_loss_weights: [1]", "flash_attention: false", "lora_target_modules: [q_proj]",
        "dp_shard_size: 1", "gradient_accumulation_steps: 1\nbatch_size: 4",
    ],
)  # fmt: skip
def test_what_has_no_effect_there_does_not_matter(tmp_path: Path, line: str) -> None:
    assert left(translated(tmp_path, f"{LEAST}{line}\n"), matters=True) == set()


def test_ipo_is_a_loss_of_its_own_there(tmp_path: Path) -> None:
    found = translated(tmp_path, "base_model: m\nrl: ipo\nadapter: qlora\nload_in_4bit: true\nrl_beta: 0.1\n"
                       "dpo_loss_type: [hinge]\nlora_target_modules: [q_proj]\n")  # fmt: skip
    assert values(found)["loss_type"] == ["ipo"] and values(found)["target_modules"] == ["q_proj"]
    assert left(found, matters=True) == set()


def test_a_pattern_of_modules_is_named_and_no_adapter_is_told(tmp_path: Path) -> None:
    found = translated(tmp_path, "base_model: m\nrl: dpo\nadapter: lora\nlora_target_modules: '.*_proj'\n")
    assert left(found, matters=True) == {"lora_target_modules"}
    assert "the whole model is trained" in why(translated(tmp_path, "base_model: m\nrl: dpo\n"), None)
    assert "no target modules" in why(translated(tmp_path, "base_model: m\nrl: dpo\nadapter: lora\n"), None)


@pytest.mark.parametrize(("line", "said"), [("rl: kto", "rl: kto"), ("sequence_len: 64", "no rl is set")])
def test_other_training_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(StepError, match=f"theirs.yaml: this file of axolotl cannot become a recipe: {said}"):
        translated(tmp_path, f"base_model: m\n{line}\n")
