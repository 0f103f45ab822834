"""axolotl: a file of `axolotl train` with `rl: dpo` or `rl: ipo` (its main branch of 2026-07-24)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.shared.contract import shortened
from steps.train.other_tools import common
from steps.train.other_tools.rules import (
    Left,
    Rule,
    Tool,
    Whole,
    Written,
    each,
    left,
    needless,
    number,
    plain,
)

# Of its schema, and of TRL's DPOConfig where the schema has none.
DEFAULTS: Mapping[str, Any] = {
    "per_device_train_batch_size": 1, "gradient_accumulation_steps": 1, "num_train_epochs": 1.0, "max_length": 512,
    "lr_scheduler_type": "cosine", "optim": "adamw_torch_fused", "weight_decay": 0.0, "warmup_steps": 0.03,
    "gradient_checkpointing": False, "load_in_4bit": False, "save_total_limit": 4, "beta": 0.1, "seed": 42,
}  # fmt: skip


def _defaults(whole: Whole) -> dict[str, Any]:
    return {**DEFAULTS, "per_device_eval_batch_size": whole.get("micro_batch_size") or 1,
            "loss_type": ["ipo"] if whole.get("rl") == "ipo" else ["sigmoid"],
            **common.double_quantisation(default=True)}  # fmt: skip


def _refuses(whole: Whole) -> str | None:
    kind = whole.get("rl")
    if kind in ("dpo", "ipo"):
        return None
    said = "no rl is set, which is supervised training" if kind is None else f"rl: {shortened(str(kind))}"
    return f"{said}; only dpo and ipo learn from pairs of a chosen and a rejected answer against a reference"


def _kind(value: Any, whole: Whole) -> list[Written | Left]:
    if value == "ipo":
        return [Written("loss_type", ["ipo"])]
    return [Left("dpo is what is trained here", matters=False)]


def _loss(value: Any, whole: Whole) -> list[Written | Left]:
    if whole.get("rl") == "ipo":
        return [Left("has no effect there with rl: ipo", matters=False)]
    return [Written("loss_type", value)]


def _weights(value: Any, whole: Whole) -> list[Written | Left]:
    if whole.get("rl") == "ipo" or whole.get("dpo_loss_type") is None:
        return [Left("has no effect there without dpo_loss_type", matters=False)]
    return [Written("loss_weights", value)]


def _rpo(value: Any, whole: Whole) -> list[Written | Left]:
    weight = number(value)
    if whole.get("dpo_loss_type") is not None or whole.get("rl") == "ipo" or weight is None or weight < 0:
        return [Left("write loss_type: [sigmoid, sft] with loss_weights")]
    if weight == 0:
        return [Left("adds nothing", matters=False)]
    return [Written("loss_type", ["sigmoid", "sft"]), Written("loss_weights", [1.0, weight], "rpo_alpha times sft")]


def _beta(value: Any, whole: Whole) -> list[Written | Left]:
    """`trl.beta` wins there, then `rl_beta`; `dpo_beta` is its old name."""
    section = whole.get("trl")
    if isinstance(section, Mapping) and section.get("beta") is not None:
        return [Left("trl.beta overrides it, there too", matters=False)]
    return [Written("beta", value)]


def _section_trl(value: Any, whole: Whole) -> list[Written | Left]:
    if not isinstance(value, Mapping):
        return [Left("holds no keys")]
    outcomes: list[Written | Left] = []
    for key, one in value.items():
        if key == "beta" and one is not None:
            outcomes.append(Written("beta", one, "trl.beta"))
        else:
            outcomes.append(Left(f"{key}: is not of rl: dpo", matters=False))
    return outcomes or [Left("is empty", matters=False)]


def _linear(value: Any, whole: Whole) -> list[Written | Left]:
    if value is True:
        return [Written("target_modules", ["all-linear"])]
    return [Left("lora_target_modules says it", matters=whole.get("lora_target_modules") is None)]


def _targets(value: Any, whole: Whole) -> list[Written | Left]:
    if whole.get("lora_target_linear") is True:
        return [Left("lora_target_linear has all linear modules already", matters=False)]
    if isinstance(value, str) and "," not in value and value != "all-linear":
        return [Left("there a pattern that module names match; write target_modules: the names themselves")]
    return common.targets(value, whole)


def _adapter(value: Any, whole: Whole) -> list[Written | Left]:
    if value in ("lora", "qlora"):
        return [
            Left("an adapter is always trained here; load_in_4bit says whether the base is in 4 bits", matters=False)
        ]
    return [Left("here always a LoRA adapter")]


def _earlier_adapter(value: Any, whole: Whole) -> list[Written | Left]:
    said = "there DPO takes the adapter's settings from the file and begins with a fresh one; here training continues"
    return [Written("initial_adapter", value), Left(f"{said} from this folder")]


def _all_pairs(value: Any, whole: Whole) -> list[Written | Left]:
    """Its old `batch_size`: pairs of an optimizer step on one GPU."""
    total, micro = number(value), number(whole.get("micro_batch_size")) or 1.0
    if whole.get("gradient_accumulation_steps") is not None:
        return [Left("gradient_accumulation_steps overrides it, there too", matters=False)]
    if total is None or micro < 1 or total < micro:
        return [Left("write per_device_train_batch_size and gradient_accumulation_steps")]
    return [Written("gradient_accumulation_steps", int(total // micro), "batch_size / micro_batch_size")]


def _checkpointing(value: Any, whole: Whole) -> list[Written | Left]:
    if value in ("offload", "offload_disk"):
        return [Written("gradient_checkpointing", True, "there with offloading; here recomputed alone")]
    return [Written("gradient_checkpointing", value)]


def _bf16(value: Any, whole: Whole) -> list[Written | Left]:
    if value in ("auto", "full"):
        return [Written("bf16", True, "where the GPU has it, there" if value == "auto" else "")]
    return [Written("bf16", value)]


def _too_long(value: Any, whole: Whole) -> list[Written | Left]:
    if value == "drop":
        return [Written("truncation", "drop")]
    return [Left("rows over max_length are dropped here and counted, or their prompt is cut: truncation: cut_prompt")]


def _template(value: Any, whole: Whole) -> list[Written | Left]:
    return [Left(common.TEMPLATE, matters=value != "tokenizer_default")]


def _by_epoch(argument: str, off: str) -> Rule:
    def act(value: Any, whole: Whole) -> list[Written | Left]:
        if not value:
            return [Left(off, matters=False)]
        return [Left(f"write {argument}, {common.BY_STEPS}", matters=argument == "eval_steps")]

    return Rule((), f"named: write `{argument}`", act)


def _attention(name: str) -> Rule:
    def act(value: Any, whole: Whole) -> list[Written | Left]:
        if value is True and whole.get("attn_implementation") is None:
            return [Written("attn_implementation", name)]
        return [Left("attn_implementation says it", matters=False)]

    return Rule(("attn_implementation",), f"`{name}`", act)


def _remarks(whole: Whole) -> list[Left]:
    if whole.get("adapter") is None:
        return [Left("adapter is not set: there the whole model is trained; here always an adapter, which takes a "
                     "higher learning rate")]  # fmt: skip
    if whole.get("lora_target_linear") is not True and whole.get("lora_target_modules") is None:
        return [Left("no target modules are named: there PEFT's choice for the architecture; here target_modules: "
                     "all-linear")]  # fmt: skip
    return []


TRACKERS = "trackers here are MLflow and Weights & Biases (mlflow_uri, wandb_project)"
RULES: dict[str, Rule] = {
    **common.TRAINER,
    **plain(
        "base_model", "model_revision", "revision_of_model", "trust_remote_code", "load_in_4bit", "lora_r",
        "lora_alpha", "peft_use_rslora", "sequence_len", "chat_template_kwargs", "precompute_ref_log_probs",
        "dpo_label_smoothing", "micro_batch_size", "eval_batch_size", "num_epochs", "early_stopping_patience",
        "wandb_project", "wandb_name", "mlflow_tracking_uri", "mlflow_experiment_name", "mlflow_run_name",
        "attn_implementation",
    ),
    "rl": Rule(("loss_type",), "`dpo`, or `loss_type: ipo`; others are refused", _kind),
    "dpo_loss_type": Rule(("loss_type",), "the same", _loss),
    "dpo_loss_weights": Rule(("loss_weights",), "the same", _weights),
    "rpo_alpha": Rule(("loss_type", "loss_weights"), "`[sigmoid, sft]` with the weights `[1, rpo_alpha]`", _rpo),
    **each(Rule(("beta",), "the same", _beta), "rl_beta", "dpo_beta"),
    "trl": Rule(("beta",), "`trl.beta`; its other keys are not of DPO", _section_trl),
    "lora_model_dir": Rule(("initial_adapter",), "there not continued from by DPO; here it is", _earlier_adapter),
    "load_in_8bit": common.LOAD_IN_8BIT,
    "peft_use_dora": common.DORA,
    "adapter": Rule((), "always an adapter; `load_in_4bit` says whether it is QLoRA", _adapter),
    "lora_dropout": common.DROPOUT,
    "lora_target_linear": Rule(("target_modules",), "`all-linear`", _linear),
    "lora_target_modules": Rule(("target_modules",), "the same; a pattern is named", _targets),
    **each(
        left("is not offered: adapters are on whole modules, of one rank, and nothing else is trained"),
        "lora_modules_to_save", "lora_target_parameters", "lora_rank_pattern", "lora_alpha_pattern",
        "peft_layers_to_transform", "peft_layers_pattern", "peft_layer_replication", "peft_trainable_token_indices",
        "unfrozen_parameters",
    ),
    "peft_init_lora_weights": left("PEFT's own start is the only one here", True),
    "peft": left("LoftQ and other starts are not offered"),
    "lora_fan_in_fan_out": needless("PEFT finds it out"),
    "loraplus_lr_ratio": left("one learning rate for both matrices here"),
    "loraplus_lr_embedding": needless("belongs to loraplus_lr_ratio"),
    "batch_size": Rule(("gradient_accumulation_steps",), "divided by `micro_batch_size`", _all_pairs),
    "optimizer": common.TRAINER["optim"],
    "lr_scheduler": common.TRAINER["lr_scheduler_type"],
    **each(left("has no counterpart here"), "cosine_min_lr_ratio", "cosine_constant_lr_ratio", "lr_groups",
           "embedding_lr", "embedding_lr_scale", "adam_beta3", "adam_epsilon2"),
    **each(Rule(("bf16",), "the same; `auto` and `full`: `true`", _bf16), "bf16", "bfloat16"),
    **each(left("float16 is not offered: bf16, or float32 with bf16: false"), "float16", "fp8"),
    "gradient_checkpointing": Rule(("gradient_checkpointing",), "the same; `offload`: `true`", _checkpointing),
    "eval_steps": Rule(("eval_steps",), "the same; a share of all steps is named", common.eval_steps),
    "eval_strategy": needless("`eval_steps` says it: 0 is none between start and end"),
    "evals_per_epoch": _by_epoch("eval_steps", "before and after training it is measured here"),
    "saves_per_epoch": _by_epoch("save_steps", "checkpoints come every `save_steps` (100 if nothing is written)"),
    "save_first_step": needless("the first checkpoint is looked at by training itself"),
    "excess_length_strategy": Rule(("truncation",), "`drop`; others are named", _too_long),
    "chat_template": Rule((), "named: the model's own template", _template),
    **each(left(common.TEMPLATE), "chat_template_jinja", "default_system_message"),
    **each(left("the tokenizer stays as it is; change it in the model's folder"), "special_tokens", "tokens",
           "added_tokens_overrides", "eot_tokens", "resize_token_embeddings_to_32x"),
    **each(needless("is found from the model's files"), "model_type", "type_of_model", "tokenizer_type",
           "tokenizer_use_fast", "tokenizer_legacy", "is_falcon_derived_model", "is_llama_derived_model",
           "is_mistral_derived_model", "is_qwen_derived_model", "processor_type"),
    **each(left("keep such files in the model's folder"), "base_model_config", "tokenizer_config", "model_config",
           "overrides_of_model_config", "model_kwargs", "overrides_of_model_kwargs"),
    "flash_attention": _attention("flash_attention_2"),
    "sdp_attention": _attention("sdpa"),
    "eager_attention": _attention("eager"),
    **each(needless("attn_implementation is auto here"), "xformers_attention", "flex_attention", "sage_attention",
           "s2_attention", "flash_optimum"),
    "gptq": left("give the base as it was before GPTQ"),
    "bnb_config_kwargs": left("4 bits are NF4, with bnb_4bit_use_double_quant"),
    "dpo_use_weighting": left("weighting by the model's own probabilities (WPO) is not offered"),
    "dpo_norm_loss": left("write loss_type: sigmoid_norm"),
    "rl_adapter_ref_model": left("the reference is the base with the adapter off; no second model is loaded"),
    **each(needless("a matter of speed or of the machine, decided here by what is there"),
           "dpo_use_liger_kernel", "dpo_padding_free", "lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel",
           "lora_embedding_kernel", "pad_to_sequence_len", "sample_packing", "eval_sample_packing", "batch_flattening",
           "gc_steps", "device", "device_map", "world_size", "ddp", "fsdp_version", "fsdp_final_state_dict_type",
           "gpu_memory_limit", "max_memory", "lora_on_cpu", "flash_attn_cross_entropy", "flash_attn_fuse_mlp",
           "qlora_sharded_model_loading", "experimental_skip_move_to_device", "merge_lora", "merge_method",
           "use_kernels", "chunked_cross_entropy", "activation_offloading", "layer_offloading", "deepcompile"),
    **each(left("FSDP2 over all processes is the only parallelism here", 1), "dp_shard_size", "dp_replicate_size",
           "tensor_parallel_size", "context_parallel_size", "sequence_parallel_degree"),
    **each(needless(common.DATA), "datasets", "test_datasets", "dataset_prepared_path", "dataset_processes",
           "dataset_num_proc", "shuffle_merged_datasets", "shuffle_before_merging_datasets", "dataset_keep_in_memory",
           "dataset_exact_deduplication", "skip_prepare_dataset", "streaming", "push_dataset_to_hub"),
    "val_set_size": needless(common.HELD_OUT),
    **each(left("rows are dropped by max_length alone"), "min_sample_len", "max_prompt_len", "eval_sequence_len"),
    **each(needless("a run whose gradient explodes or whose loss is no number stops by itself"),
           "loss_watchdog_threshold", "loss_watchdog_patience"),
    "use_wandb": left("write wandb_project: NAME"),
    "use_mlflow": left("write mlflow_uri: URI"),
    **each(needless(TRACKERS), "use_tensorboard", "use_trackio", "use_otel_metrics", "hf_mlflow_log_artifacts"),
    "plugins": left("there are no plugins here; what they add is missing"),
    "trainer_cls": left("there is one trainer here"),
    **each(needless("the command and its checks are others"), "strict", "is_preprocess", "axolotl_config_path",
           "train_on_inputs", "profiler_steps", "profiler_steps_start", "hf_use_auth_token",
           "auto_resume_from_checkpoints", "generate_samples", "num_generation_samples"),
}  # fmt: skip
AXOLOTL = Tool(
    name="axolotl",
    own=frozenset({
        "base_model", "rl", "rl_beta", "dpo_beta", "micro_batch_size", "sequence_len", "num_epochs", "adapter",
        "lora_target_linear", "lora_model_dir", "val_set_size", "optimizer", "lr_scheduler", "sample_packing",
        "dataset_prepared_path", "pad_to_sequence_len", "evals_per_epoch", "saves_per_epoch", "dpo_loss_type",
        "wandb_name", "flash_attention", "special_tokens", "revision_of_model", "peft_use_rslora",
    }),
    rules=RULES,
    families=common.FAMILIES,
    defaults=_defaults,
    refuses=_refuses,
    remarks=_remarks,
)  # fmt: skip
