"""`trl dpo`: its YAML file or its arguments (TRL 1.16: DPOConfig, ModelConfig, ScriptArguments)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.train.other_tools import common
from steps.train.other_tools.rules import Left, Rule, Tool, Whole, Written, each, left, needless, plain

# What DPOConfig and ModelConfig hold where a file says nothing; a test compares them with TRL's.
DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 1e-6, "lr_scheduler_type": "linear", "warmup_steps": 0, "optim": "adamw_torch_fused",
    "num_train_epochs": 3.0, "per_device_train_batch_size": 8, "per_device_eval_batch_size": 8,
    "gradient_accumulation_steps": 1, "save_steps": 500, "max_length": 1024, "beta": 0.1, "lora_r": 16,
    "lora_alpha": 32, "load_in_4bit": False, "logging_steps": 10, "weight_decay": 0.0, "gradient_checkpointing": True,
}  # fmt: skip


def _defaults(whole: Whole) -> dict[str, Any]:
    # ModelConfig's lora_dropout of 0.05 is taken away by DPOConfig's disable_dropout.
    dropout = {"lora_dropout": 0.05} if whole.get("disable_dropout") is False else {}
    four_bits = whole.get("load_in_4bit") is True
    return {**DEFAULTS, **dropout, **common.double_quantisation(default=not four_bits)}


def _truncation(value: Any, whole: Whole) -> list[Written | Left]:
    if value == "keep_end":
        return [Written("truncation", "cut_prompt", "cuts the prompt from the left, and never the answer")]
    why = "cuts the end of an answer that is too long; here such a row is dropped, or its prompt is cut (truncation)"
    return [Left(why)]


def _dropout(value: Any, whole: Whole) -> list[Written | Left]:
    if whole.get("disable_dropout") is False:
        return [Written("lora_dropout", value)]
    return common.no_dropout(value, whole)


def _dtype(value: Any, whole: Whole) -> list[Written | Left]:
    if whole.get("bf16") is not None or value in ("auto", None):
        return [Left("bf16 says it here, for the weights and for the computing", matters=False)]
    if value == "bfloat16":
        return [Written("bf16", True, "weights and computing")]
    if value == "float32":
        said = "there float32 weights under bfloat16 computing; bf16: false has both in float32, and twice the memory"
        return [Written("bf16", True, "of the weights alone; computing is bfloat16"), Left(said)]
    return [Left("write bf16: true, or bf16: false for float32")]


def _adapter(value: Any, whole: Whole) -> list[Written | Left]:
    if value is True:
        return [Left("an adapter is always trained here", matters=False)]
    return [Left("there the whole model is trained; here always an adapter, which takes a higher learning rate")]


def _remarks(whole: Whole) -> list[Left]:
    found = []
    if whole.get("use_peft") is None:
        said = "use_peft is not set: there the whole model is trained; here always an adapter, which takes a higher "
        found.append(Left(said + "learning rate"))
    elif whole.get("lora_target_modules") is None:
        said = "lora_target_modules is not set: there PEFT's choice for the architecture; here target_modules: "
        found.append(Left(said + "all-linear"))
    if "max_length" in whole and whole["max_length"] is None:
        found.append(Left("max_length is null: there a row may have any length; here one has 1024 tokens at most"))
    elif whole.get("truncation_mode") is None:
        said = "truncation_mode is not set: there an answer that is too long loses its end; here the row is dropped"
        found.append(Left(said))
    return found


RULES: dict[str, Rule] = {
    **common.TRAINER,
    **plain(
        "model_name_or_path", "model_revision", "trust_remote_code", "load_in_4bit", "use_bnb_nested_quant",
        "lora_r", "lora_alpha", "use_rslora", "beta", "loss_type", "loss_weights", "label_smoothing", "max_length",
        "bf16", "gradient_checkpointing", "precompute_ref_log_probs", "router_aux_loss_coef",
    ),
    "attn_implementation": plain("attn_implementation")["attn_implementation"],
    "lora_target_modules": Rule(("target_modules",), "the same", common.targets),
    "lora_dropout": Rule(("lora_dropout",), f"{common.NO_DROPOUT}; the same with `disable_dropout: false`", _dropout),
    "truncation_mode": Rule(("truncation",), "`keep_end`: `cut_prompt`; `keep_start` is named", _truncation),
    "dtype": Rule(("bf16",), "`bf16` is for weights and computing", _dtype),
    "torch_dtype": Rule(("bf16",), "`bf16` is for weights and computing", _dtype),
    "load_in_8bit": common.LOAD_IN_8BIT,
    "use_dora": common.DORA,
    "use_peft": Rule((), "always an adapter", _adapter),
    "disable_dropout": needless("the base's dropout is always off, the adapter's is `lora_dropout`"),
    "lora_task_type": needless("always CAUSAL_LM"),
    **each(
        left("is not offered: adapters are on whole modules, and nothing else is trained"),
        "lora_modules_to_save", "lora_target_parameters",
    ),
    "bnb_4bit_quant_type": left("4 bits are NF4 here", "nf4"),
    "bnb_4bit_quant_storage": needless("the blocks are stored in the computing type, which FSDP2 needs"),
    "use_weighting": left("weighting by the model's own probabilities (WPO) is not offered"),
    "f_divergence_type": left("reverse KL is the only divergence here", "reverse_kl"),
    "f_alpha_divergence_coef": left("reverse KL is the only divergence here", 0.5, 1.0),
    "discopop_tau": left("0.05 is the only temperature here", 0.05),
    "ld_alpha": left("LD-DPO's weights are not offered"),
    "reference_free": left("the reference is the base model, or a copy of initial_adapter"),
    "sync_ref_model": left("the reference stays as it is here (no TR-DPO)"),
    **each(needless("belongs to sync_ref_model"), "ref_model_mixup_alpha", "ref_model_sync_steps"),
    "precompute_ref_batch_size": needless("per_device_eval_batch_size is used"),
    **each(
        needless(common.DATA),
        "dataset_name", "dataset_config", "dataset_train_split", "dataset_test_split", "dataset_streaming", "datasets",
        "streaming", "dataset_num_proc",
    ),
    "test_split_size": needless(common.HELD_OUT),
    "model_init_kwargs": left("has no counterpart; most of what it holds is an argument here"),
    "pad_token": needless("the tokenizer's own, or another of its tokens"),
    **each(
        needless("a matter of speed or of the machine, decided here by what is there"),
        "ignore_bias_buffers", "activation_offloading", "liger_kernel_config", "ddp_static_graph",
    ),
    **each(left("FSDP2 over all processes is the only parallelism here"), "parallelism_config"),
    "env": left("variables of the environment are not part of a recipe; set them where Train runs"),
}  # fmt: skip
TRL = Tool(
    name="TRL",
    own=frozenset({
        "dataset_name", "dataset_config", "dataset_train_split", "dataset_test_split", "dataset_streaming", "use_peft",
        "beta", "loss_type", "loss_weights", "label_smoothing", "truncation_mode", "lora_task_type",
        "f_divergence_type", "f_alpha_divergence_coef", "discopop_tau", "bnb_4bit_quant_type", "use_bnb_nested_quant",
        "disable_dropout", "model_init_kwargs", "max_prompt_length", "max_completion_length", "sync_ref_model",
        "use_weighting", "precompute_ref_batch_size", "dtype", "torch_dtype", "max_length", "reference_free",
    }),
    rules=RULES,
    families=common.FAMILIES,
    defaults=_defaults,
    remarks=_remarks,
)  # fmt: skip
