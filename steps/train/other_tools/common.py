"""Rules for what several trainers share: transformers' training arguments (5.23), LoRA, precision, trackers, data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.train.arguments import FsdpConfig
from steps.train.other_tools.rules import OFF, Left, Rule, Whole, Written, each, left, needless, number, plain, words

OPTIMIZERS = ("adamw_torch", "adamw_torch_fused")
# AdamW with states in another form: the same update, other memory.
SAME_UPDATE = {
    "adamw_hf", "adamw_bnb_8bit", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "paged_adamw",
    "adamw_torch_8bit", "adamw_torch_4bit",
}  # fmt: skip
SCHEDULES = ("linear", "cosine", "constant", "constant_with_warmup")
BY_STEPS = "a number of optimizer steps; `check --recipe FILE --rows N` tells how many a run has"
DATA = "the data is the pipeline's: `--set InputDataUri=…`; Preprocess recognises its layout"
HELD_OUT = "the share that is held out is the pipeline's: `--set ValidationFraction=…`"
TEMPLATE = (
    "the model's own chat template is used, in training and in what is served; put another into the model's folder"
)
NO_DROPOUT = "0: all dropout is switched off there; here it would work"


def optimizer(value: Any, whole: Whole) -> list[Written | Left]:
    if value in OPTIMIZERS:
        return [Written("optim", value)]
    if isinstance(value, str) and value in SAME_UPDATE:
        return [Written("optim", "adamw_torch", "there AdamW with states in 8 bits or paged, which FSDP2 cannot shard")]
    return [Left("AdamW is the only optimizer here (`optim`); another one needs another learning rate")]


def schedule(value: Any, whole: Whole) -> list[Written | Left]:
    if value in SCHEDULES:
        return [Written("lr_scheduler_type", value)]
    return [Left(f"write lr_scheduler_type: one of {', '.join(SCHEDULES)}")]


def warmup_ratio(value: Any, whole: Whole) -> list[Written | Left]:
    if number(whole.get("warmup_steps")):
        return [Left("warmup_steps overrides it, there too", matters=False)]
    ratio = number(value)
    if ratio is None or not 0 <= ratio < 1:
        return [Left("write warmup_steps: a value below 1 is a share of all steps")]
    return [Written("warmup_steps", ratio, "below 1: a share of all steps")]


def evaluation(value: Any, whole: Whole) -> list[Written | Left]:
    """Of transformers: `eval_steps` counts only with the strategy `steps`; without it, every logging_steps."""
    strategy = whole.get("eval_strategy") or whole.get("evaluation_strategy") or "no"
    if strategy == "no":
        return [Written("eval_steps", 0, "no evaluation in between")]
    if strategy != "steps":
        return [Left(f"write eval_steps, {BY_STEPS}")]
    return eval_steps(whole.get("eval_steps") or whole.get("logging_steps"), whole)


def eval_steps(value: Any, whole: Whole) -> list[Written | Left]:
    steps = number(value)
    if steps is None or 0 < steps < 1:
        return [Left(f"write eval_steps, {BY_STEPS}")]
    return [Written("eval_steps", value)]


def save_steps(value: Any, whole: Whole) -> list[Written | Left]:
    steps = number(value)
    if steps is None or 0 < steps < 1:
        return [Left(f"write save_steps, {BY_STEPS}", matters=False)]
    return [Written("save_steps", value)]


def best_by(value: Any, whole: Whole) -> list[Written | Left]:
    known = {"loss": "eval_loss", "eval_loss": "eval_loss", "eval_rewards/accuracies": "eval_reward_accuracy",
             "rewards/accuracies": "eval_reward_accuracy", "eval_rewards/margins": "eval_reward_margin",
             "rewards/margins": "eval_reward_margin"}  # fmt: skip
    if isinstance(value, str) and value in known:
        return [Written("early_stopping_metric", known[value])]
    return [Left("write early_stopping_metric: eval_loss, eval_reward_accuracy or eval_reward_margin")]


def fsdp_config(value: Any, whole: Whole) -> list[Written | Left]:
    """Their keys may have accelerate's prefix `fsdp_`."""
    if not isinstance(value, Mapping):
        return [Left("it names another file; write its keys under fsdp_config here")]
    kept: dict[str, Any] = {}
    outcomes: list[Written | Left] = []
    for key, one in value.items():
        here = str(key).removeprefix("fsdp_")
        if here in ("auto_wrap_policy", "transformer_layer_cls_to_wrap", "reshard_after_forward") and one is not None:
            kept[here] = words(one) if here == "transformer_layer_cls_to_wrap" else one
        elif here in FsdpConfig.model_fields:
            outcomes.append(Left(f"{key}: FSDP2 with full checkpoints is the only form here", matters=False))
        else:
            outcomes.append(Left(f"{key}: is not needed or not offered here; fsdp_config has five keys", matters=False))
    return [Written("fsdp_config", kept), *outcomes] if kept else outcomes or [Left("is empty", matters=False)]


def tracker(value: Any, whole: Whole) -> list[Written | Left]:
    names = set(words(value))
    wanted = [told for name, told in (("wandb", "wandb_project: NAME"), ("mlflow", "mlflow_uri: URI"))
              if (name in names or "all" in names) and told.partition(":")[0] not in whole]  # fmt: skip
    if wanted:
        return [Left(f"write {' and '.join(wanted)}")]
    return [Left("trackers here are MLflow and Weights & Biases (mlflow_uri, wandb_project)", matters=False)]


def targets(value: Any, whole: Whole) -> list[Written | Left]:
    names = words(value)
    if not names:
        return [Left("write target_modules: names of modules, or all-linear")]
    if set(names) & {"all", "all-linear"}:
        return [Written("target_modules", ["all-linear"])]
    return [Written("target_modules", names)]


FSDP_SAYS = "`auto_wrap_policy`, `transformer_layer_cls_to_wrap` and `reshard_after_forward`; always FSDP2"

TRAINER: dict[str, Rule] = {
    **plain(
        "learning_rate", "weight_decay", "max_grad_norm", "num_train_epochs", "max_steps",
        "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "seed",
        "logging_steps", "save_total_limit", "dataloader_num_workers", "ddp_timeout", "warmup_steps",
    ),
    "optim": Rule(("optim",), "AdamW; 8-bit and paged ones become `adamw_torch`, others are named", optimizer),
    "lr_scheduler_type": Rule(("lr_scheduler_type",), "the same; other schedules are named", schedule),
    "warmup_ratio": Rule(("warmup_steps",), "a value below 1 is a share of all steps", warmup_ratio),
    **each(
        Rule(("eval_steps",), "with `no`: 0; with `epoch` or a share of all steps: named", evaluation),
        "eval_strategy", "evaluation_strategy", "eval_steps",
    ),
    "save_steps": Rule(("save_steps",), "the same; a share of all steps is named", save_steps),
    "save_strategy": needless("checkpoints come every `save_steps` (100 if nothing is written)"),
    "metric_for_best_model": Rule(("early_stopping_metric",), "of `early_stopping_metric`", best_by),
    "load_best_model_at_end": left("write early_stopping_patience and eval_steps: the best checkpoint is kept then"),
    "greater_is_better": needless("follows from `early_stopping_metric`"),
    "run_name": plain("run_name")["run_name"],
    "report_to": Rule((), "named: write `wandb_project` or `mlflow_uri`", tracker),
    "fsdp": needless("it is on (`fsdp: true`)"),
    "fsdp_config": Rule(("fsdp_config",), FSDP_SAYS, fsdp_config),
    "deepspeed": needless("FSDP2 shards here, with or without 4 bits"),
    "fp16": left("write bf16: true, or bf16: false for float32; float16 is not offered"),
    **each(left("Adam's betas are 0.9 and 0.999 here", 0.9, 0.999), "adam_beta1", "adam_beta2"),
    "adam_epsilon": left("Adam's epsilon is 1e-8 here", 1e-8, "1e-8"),
    **each(left("has no counterpart here"), "optim_args", "optim_target_modules", "lr_scheduler_kwargs"),
    "neftune_noise_alpha": left("noise on embeddings is not offered here"),
    "label_smoothing_factor": left("is of another loss; write label_smoothing for swapped labels", 0, 0.0),
    "activation_checkpointing": left("write gradient_checkpointing: true or false"),
    "data_seed": left("`seed` is that of the data's order too"),
    "auto_find_batch_size": left("`check --recipe` estimates what fits; write per_device_train_batch_size"),
    "output_dir": needless("the job's model folder; `--output_dir` when Train runs alone"),
    **each(
        needless("a run resumes from its own checkpoints"),
        "resume_from_checkpoint", "overwrite_output_dir", "save_only_model", "ignore_data_skip",
    ),
    **each(
        needless("a matter of speed or of the machine, decided here by what is there"),
        "tf32", "gradient_checkpointing_kwargs", "torch_empty_cache_steps", "torch_compile", "torch_compile_backend",
        "torch_compile_mode", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers",
        "ddp_backend", "dataloader_pin_memory", "dataloader_prefetch_factor", "dataloader_persistent_workers",
        "dataloader_drop_last", "low_cpu_mem_usage", "use_cpu", "no_cuda", "local_rank", "use_liger_kernel",
        "enable_liger_kernel", "group_by_length", "train_sampling_strategy", "padding_free", "pad_to_multiple_of",
        "accelerator_config", "average_tokens_across_devices", "save_safetensors", "use_cache", "cache_dir",
        "dataloader_in_order", "dataloader_multiprocessing_context", "activation_checkpointing_kwargs",
        "enable_jit_checkpoint", "full_determinism", "length_column_name", "label_names", "bf16_full_eval",
        "fp16_full_eval", "restore_callback_states_from_checkpoint", "debug",
    ),
    **each(
        needless("what is logged and measured is fixed here"),
        "logging_strategy", "logging_first_step", "logging_dir", "log_level", "disable_tqdm", "do_train", "do_eval",
        "do_predict", "eval_on_start", "include_num_input_tokens_seen", "include_tokens_per_second", "include_tkps",
        "plot_loss", "remove_unused_columns", "eval_accumulation_steps", "save_on_each_node", "project",
        "eval_delay", "eval_do_concat_batches", "eval_use_gather_object", "batch_eval_metrics", "include_for_metrics",
        "prediction_loss_only", "log_on_each_node", "log_level_replica", "logging_nan_inf_filter",
        "skip_memory_metrics",
    ),
}  # fmt: skip

FAMILIES: dict[str, Rule] = {
    "hub_": needless("a version is registered in the model registry, and nothing is pushed to the hub"),
    "push_to_hub": needless("a version is registered in the model registry, and nothing is pushed to the hub"),
    "wandb_": needless("Weights & Biases takes `wandb_project` and `run_name`"),
    "trackio_": needless("trackers here are MLflow and Weights & Biases"),
    "swanlab_": needless("trackers here are MLflow and Weights & Biases"),
    "comet_": needless("trackers here are MLflow and Weights & Biases"),
    "use_comet": needless("trackers here are MLflow and Weights & Biases"),
    "ray_": needless("torchrun starts the processes here"),
}
EIGHT_BITS = "8 bits are not offered: the base stays in bfloat16, twice the memory; or write load_in_4bit: true"


def eight_bits(value: Any, whole: Whole) -> list[Written | Left]:
    return [Left(EIGHT_BITS) if value is True else Left(OFF, matters=False)]


def double_quantisation(default: bool) -> dict[str, bool]:
    """Only where it is not the default here, which is true."""
    return {} if default else {"bnb_4bit_use_double_quant": False}


LOAD_IN_8BIT = Rule((), "named: 4 bits or bfloat16", eight_bits)
DORA = left("DoRA is not offered: the adapter is plain LoRA, or rsLoRA")


def no_dropout(value: Any, whole: Whole) -> list[Written | Left]:
    said = f"{value:g} there, but all dropout is switched off before training" if number(value) else ""
    return [Written("lora_dropout", 0.0, said)]


DROPOUT = Rule(("lora_dropout",), NO_DROPOUT, no_dropout)
