"""Settings that do not go together: each rule with its message, and none for what is sound."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.shared.serving import max_lora_rank
from steps.train import arguments
from steps.train.arguments import TrainArguments
from steps.train.model import shape as model_shape
from steps.train.preflight import conflicts, instances
from tests.paths import ROOT
from tests.steps.train import models

RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))
SHAPE = model_shape.shape(models.QWEN3_8B)


def found(shape: Any = None, gpu: Any = None, **values: Any) -> list[str]:
    return [str(problem) for problem in conflicts.problems(TrainArguments(model_id="m", **values), shape, gpu)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_here_are_sound(path: Path) -> None:
    recipe = arguments.load(path)
    assert conflicts.problems(recipe, SHAPE, instances.A10G) == conflicts.serving_problems(recipe) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_smoothing": 0.1},
         "label_smoothing: 0.1 would change nothing: TRL uses it in exo_pair, robust, aot, aot_unpaired, not in "
         "sigmoid; leave it out, or set loss_type: robust"),
        ({"loss_type": "aot", "per_device_train_batch_size": 1},
         "per_device_train_batch_size: 1 leaves nothing to sort: aot compares the sorted rows of a batch; take 2 or "
         "more, or another loss"),
        ({"precompute_ref_log_probs": True, "loss_type": "sft"},
         "precompute_ref_log_probs: true: sft alone compares with no reference; leave it out, or add a loss that has "
         "one"),
        ({"ref_log_probs_cache": "/shared/logps"},
         "ref_log_probs_cache: would change nothing without precompute_ref_log_probs: true; set it, or leave the "
         "folder out"),
        ({"ref_log_probs_cache": "s3://bucket/logps", "precompute_ref_log_probs": True},
         "ref_log_probs_cache: s3://bucket/logps is no folder; name one that the job can write to, or leave it out: "
         "values then go with the checkpoints"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 10},
         "warmup_steps: would change nothing with lr_scheduler_type: constant; set lr_scheduler_type: "
         "constant_with_warmup, or 0"),
        ({"warmup_steps": 100, "max_steps": 100},
         "warmup_steps: 100 of 100 steps (max_steps): the run would end before its learning rate is reached; take "
         "fewer, or a ratio below 1"),
        ({"target_modules": ["all-linear", "q_proj"]},
         "target_modules: all-linear beside other names is taken for a module's name, and passed over; give it alone"),
        ({"attn_implementation": "flash_attention_2", "bf16": False},
         "attn_implementation: flash_attention_2 needs bf16: true; write auto or sdpa"),
        ({"group_by_prompt": True, "max_tokens_per_batch": 4096, "share_prompts": False},
         "group_by_prompt and max_tokens_per_batch: needs share_prompts: true, whose rows have no padding; set it, or "
         "leave this out"),
        ({"max_tokens_per_batch": 4096, "loss_type": "aot"},
         "max_tokens_per_batch: aot compares the sorted rows of a batch, and how many those are would depend on their "
         "tokens; leave it out, or take another loss"),
        ({"attn_implementation": "eager", "share_prompts": True},
         "attn_implementation: eager has no form for the packed rows of share_prompts: true; write auto or sdpa"),
    ],
)  # fmt: skip
def test_a_recipe_that_contradicts_itself(values: dict[str, Any], message: str) -> None:
    assert found(**values) == [message]


def test_a_default_is_nobodys_contradiction() -> None:
    assert found(lr_scheduler_type="constant") == []  # warmup_steps has its default of 0.1
    assert found(loss_type=["sigmoid", "robust"], label_smoothing=0.1) == []
    assert found(attn_implementation="eager") == []  # share_prompts has its default: the run says that it packs nothing


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        ({}, {"max_length": 65536},
         "max_length: 65536 is above the 40960 positions of the model; take at most that"),
        ({"quantization_config": {"quant_method": "fp8"}}, {},
         "load_in_4bit: the model is quantised already (fp8); name the original as model_id"),
        ({}, {"target_modules": ["q_proj", "v_prj"]},
         "target_modules: v_prj: the model has no such module, and peft passes over it; did you mean v_proj?"),
        ({}, {"target_modules": ["q_proj", "Wqkv"]},
         "target_modules: Wqkv: the model has no such module, and peft passes over it; it has down_proj, embed_tokens, "
         "gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"),
    ],
)  # fmt: skip
def test_a_recipe_that_does_not_fit_its_model(config: dict[str, Any], values: dict[str, Any], message: str) -> None:
    assert found(model_shape.shape(models.QWEN3_8B | config), **values) == [message]


def test_bfloat16_needs_a_gpu_that_has_it() -> None:
    message = (
        "bf16: true: a T4 (compute capability 7.5) has no bfloat16 arithmetic; take a GPU of 8.0 or newer, or set "
        "bf16: false"
    )
    assert found(gpu=instances.T4) == [message]
    assert found(gpu=instances.T4, bf16=False) == found(gpu=instances.L4) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lora_r": 513},
         "lora_r: 513: vLLM serves ranks up to 512; take at most that, or set merge_weights: true"),
        ({"merge_weights": True, "target_modules": ["q_proj", "embed_tokens"]},
         "target_modules: embed_tokens: cannot be merged into a model that ties its LM head to it; leave it out"),
    ],
)  # fmt: skip
def test_what_trains_and_could_not_be_served(values: dict[str, Any], message: str) -> None:
    assert [str(one) for one in conflicts.serving_problems(TrainArguments(model_id="m", **values))] == [message]
    assert found(**values) == []


def test_any_rank_up_to_vllms_largest_can_be_served() -> None:
    assert conflicts.serving_problems(TrainArguments(model_id="m", lora_r=512)) == []
    assert conflicts.serving_problems(TrainArguments(model_id="m", lora_r=513, merge_weights=True)) == []
    assert [max_lora_rank(rank) for rank in (1, 2, 8, 24, 320, 321, 512, 600)] == [1, 8, 8, 32, 320, 512, 512, 600]


def test_an_adapter_on_embeddings_is_merged_where_the_head_is_not_tied_to_them() -> None:
    recipe = TrainArguments(model_id="m", merge_weights=True, target_modules=["q_proj", "embed_tokens"])
    assert not SHAPE.tied and conflicts.serving_problems(recipe, SHAPE) == []
    assert len(conflicts.serving_problems(recipe, replace(SHAPE, tied=True))) == 1


def test_the_losses_that_smooth_and_sort_are_trls() -> None:
    from trl import DPOTrainer

    branches = inspect.getsource(DPOTrainer._compute_loss).split("if loss_type == ")[1:]
    by_loss = {branch.split('"')[1]: branch for branch in branches}
    assert set(by_loss) >= {"sigmoid", "robust", "aot"}
    assert {loss for loss, code in by_loss.items() if "label_smoothing" in code} == set(conflicts.SMOOTHED)
    assert {loss for loss, code in by_loss.items() if "torch.sort" in code} == set(conflicts.SORTING)


def test_peft_passes_over_a_name_without_a_module() -> None:
    """Why an unmatched target is a problem: nobody else would say so."""
    from peft import LoraConfig, get_peft_model

    from tests.steps.train.model.test_model_shape import meta_model

    model = get_peft_model(meta_model(models.LLAMA_BIASED), LoraConfig(r=2, target_modules=["q_proj", "v_prj"]))
    assert {name.split(".")[-4] for name, one in model.named_parameters() if one.requires_grad} == {"q_proj"}
