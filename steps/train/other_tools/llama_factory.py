"""LLaMA-Factory: a file of `llamafactory-cli train` with `stage: dpo` (its main branch of 2026-08-18)."""

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
    words,
    written,
)

ATTENTION = {"auto": "auto", "disabled": "eager", "sdpa": "sdpa", "fa2": "flash_attention_2"}
LOSSES = ("sigmoid", "hinge", "ipo")
# Of its own arguments and of transformers' TrainingArguments, which it extends; a test compares the latter.
OWN_DEFAULTS: Mapping[str, Any] = {"lora_r": 8, "max_length": 2048, "beta": 0.1, "load_in_4bit": False}
TRAINER_DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 5e-5, "lr_scheduler_type": "linear", "warmup_steps": 0, "optim": "adamw_torch_fused",
    "num_train_epochs": 3.0, "per_device_train_batch_size": 8, "per_device_eval_batch_size": 8,
    "gradient_accumulation_steps": 1, "save_steps": 500, "logging_steps": 500, "weight_decay": 0.0,
}  # fmt: skip


def _defaults(whole: Whole) -> dict[str, Any]:
    rank = number(whole.get("lora_rank")) or OWN_DEFAULTS["lora_r"]
    return {**OWN_DEFAULTS, **TRAINER_DEFAULTS, "lora_alpha": 2 * rank}


def _refuses(whole: Whole) -> str | None:
    stage = whole.get("stage", "sft")
    if stage != "dpo":
        return f"stage: {shortened(str(stage))}; only dpo learns from pairs of a chosen and a rejected answer"
    loss = whole.get("pref_loss") or "sigmoid"
    if loss not in LOSSES:
        known = ", ".join(LOSSES)
        return f"pref_loss: {shortened(str(loss))} has no counterpart among the losses here; {known} have one"
    return None


def _loss(value: Any, whole: Whole) -> list[Written | Left]:
    """Its loss: (preference + w x BCO) / (1 + w) + ftx x the answer's mean loss a token."""
    parts = {whole.get("pref_loss") or "sigmoid": 1.0}
    bco, ftx = number(whole.get("pref_bco_weight")) or 0.0, number(whole.get("pref_ftx")) or 0.0
    if bco > 0:
        parts = {next(iter(parts)): 1 / (1 + bco), "bco_pair": bco / (1 + bco)}
    if ftx > 0:
        parts["sft"] = ftx
    outcomes: list[Written | Left] = [Written("loss_type", list(parts))]
    if len(parts) > 1:
        outcomes.append(
            Written(
                "loss_weights",
                list(parts.values()),
                f"of {', '.join(parts)}: of pref_loss, pref_bco_weight and pref_ftx",
            )
        )
    return outcomes


def _bits(value: Any, whole: Whole) -> list[Written | Left]:
    method = whole.get("quantization_method") or "bnb"
    if value == 4 and method in ("bnb", "bitsandbytes"):
        return [Written("load_in_4bit", True, "4 bits")]
    return [Written("load_in_4bit", False, "other bits or methods are not offered"), Left(common.EIGHT_BITS)]


def _attention(value: Any, whole: Whole) -> list[Written | Left]:
    if isinstance(value, str) and value in ATTENTION:
        return [Written("attn_implementation", ATTENTION[value])]
    return [Left("attn_implementation is auto, flash_attention_2, sdpa or eager here", matters=False)]


def _adapter(value: Any, whole: Whole) -> list[Written | Left]:
    names = words(value)
    if len(names) != 1:
        return [Left("merge the adapters into the base (`python -m steps.merge`), or write one as initial_adapter")]
    said = "there the reference is the base without the adapter; here a frozen copy of the adapter"
    return [Written("initial_adapter", names[0], "a folder, and no hub name"), Left(said)]


def _thinking(value: Any, whole: Whole) -> list[Written | Left]:
    if not isinstance(value, bool):
        return [Left("write chat_template_kwargs: {enable_thinking: true} or false, where the template asks for it")]
    return [Written("chat_template_kwargs", {"enable_thinking": value}, "where the model's template asks for it")]


def _stops_after(value: Any, whole: Whole) -> list[Written | Left]:
    return [Written("early_stopping_patience", value, "evaluations, there too")]


def _bf16(value: Any, whole: Whole) -> list[Written | Left]:
    if value is False:
        said = "there a base in bfloat16 stays so; bf16: true is that, and bf16: false has all in float32"
        return [Left(said)]
    return [Written("bf16", value)]


def _kind(value: Any, whole: Whole) -> list[Written | Left]:
    if value == "lora":
        return [Left("an adapter is always trained here", matters=False)]
    return [Left("here always a LoRA adapter, which takes a higher learning rate than training the model itself")]


def _remarks(whole: Whole) -> list[Left]:
    return [Left("a row over cutoff_len loses parts of prompt and answer there; here it is dropped and counted, or "
                 "write truncation: cut_prompt")]  # fmt: skip


LEFT_OUT = "only of other kinds of training"
RULES: dict[str, Rule] = {
    **common.TRAINER,
    **plain(
        "model_name_or_path", "model_revision", "trust_remote_code", "lora_rank", "lora_alpha", "use_rslora",
        "double_quantization", "moe_aux_loss_coef", "pref_beta", "dpo_label_smoothing", "cutoff_len",
    ),
    "stage": needless("dpo is what is trained here; other stages are refused"),
    "finetuning_type": Rule((), "always an adapter", _kind),
    "use_dora": common.DORA,
    "lora_target": Rule(("target_modules",), "`all`: `all-linear`", common.targets),
    "lora_dropout": common.DROPOUT,
    "pure_bf16": Rule(("bf16",), "`bf16: true`", lambda value, whole: [Written("bf16", True)] if value is True
                      else [Left("as here", matters=False)]),
    "bf16": Rule(("bf16",), "the same; `false` is named", _bf16),
    "quantization_bit": Rule(("load_in_4bit",), "4: `true`; other bits are named", _bits),
    "quantization_method": left("bitsandbytes' NF4 is the only one here", "bnb", "bitsandbytes"),
    "quantization_type": left("4 bits are NF4 here", "nf4"),
    "quantization_device_map": needless("FSDP2 places the weights"),
    **each(
        Rule(("loss_type", "loss_weights"), "a list of losses with their weights; orpo, simpo and kto_pair are refused",
             _loss),
        "pref_loss", "pref_ftx", "pref_bco_weight",
    ),
    "ld_alpha": left("LD-DPO's weights are not offered"),
    "adapter_name_or_path": Rule(("initial_adapter",), "one folder; the reference is a copy of it", _adapter),
    "adapter_folder": left("write initial_adapter: the folder of the adapter"),
    "create_new_adapter": left("merge the earlier adapter first (`python -m steps.merge`), and train from the result"),
    **each(
        left("the reference is the base model, or a copy of initial_adapter"),
        "ref_model", "ref_model_adapters", "ref_model_quantization_bit",
    ),
    **each(left("is not offered: nothing but the adapter is trained"), "additional_target", "resize_vocab",
           "add_tokens", "add_special_tokens", "new_special_tokens_config"),
    "init_special_tokens": needless("belongs to new tokens"),
    **each(left("plain LoRA and rsLoRA are offered"), "loraplus_lr_ratio", "pissa_init"),
    **each(needless("belongs to what is not offered"), "loraplus_lr_embedding", "pissa_iter", "pissa_convert"),
    "template": left(common.TEMPLATE),
    **each(left("the model's own chat template decides"), "tool_format", "default_system", "preserve_thinking"),
    "enable_thinking": Rule(("chat_template_kwargs",), "`{enable_thinking: …}`", _thinking),
    "flash_attn": Rule(("attn_implementation",), "`fa2`: `flash_attention_2`; `disabled`: `eager`", _attention),
    "disable_gradient_checkpointing": written("gradient_checkpointing", "the opposite",
                                              lambda value, whole: not value if isinstance(value, bool) else value),
    "early_stopping_steps": Rule(("early_stopping_patience",), "evaluations, there too", _stops_after),
    "disable_shuffling": left("rows are always shuffled, by `seed`"),
    **each(
        needless(common.DATA),
        "dataset", "eval_dataset", "dataset_dir", "media_dir", "streaming", "buffer_size", "overwrite_cache",
        "preprocessing_batch_size", "preprocessing_num_workers", "tokenized_path", "data_shared_file_system",
        "eval_on_each_dataset",
    ),
    **each(left("mix and cut the data before Preprocess", "concat"), "mix_strategy", "interleave_probs", "max_samples"),
    "val_size": needless(common.HELD_OUT),
    **each(needless(LEFT_OUT), "packing", "neat_packing", "train_on_prompt", "mask_history", "predict_with_generate",
           "compute_accuracy", "simpo_gamma", "ignore_pad_token_for_loss", "eval_num_beams"),
    **each(left("changes the model; save such a model first, and name it"), "rope_scaling", "mixture_of_depths",
           "shift_attn", "train_from_scratch"),
    **each(left("has another trainer; AdamW over LoRA is what there is"), "use_galore", "use_apollo", "use_badam",
           "use_adam_mini", "use_muon", "use_llama_pro", "use_mca"),
    **each(
        needless("a matter of speed or of the machine, decided here by what is there"),
        "use_unsloth", "use_unsloth_gc", "use_reentrant_gc", "upcast_layernorm", "upcast_lmhead_output",
        "use_fast_tokenizer", "split_special_tokens", "use_v1_kernels", "offload_folder", "print_param_status", "fp8",
        "include_effective_tokens_per_second", "ray_num_workers", "use_swanlab",
    ),
}  # fmt: skip
FAMILIES: dict[str, Rule] = {
    **common.FAMILIES,
    **{prefix: needless(LEFT_OUT) for prefix in ("kto_", "ppo_", "reward_model", "freeze_", "oft_", "infer_", "vllm_",
                                                 "sglang_", "image_", "video_", "audio_", "export_")},
    **{prefix: needless("belongs to a trainer that is not here") for prefix in ("galore_", "apollo_", "badam_")},
    "hf_hub_token": needless("a token comes as a secret: configs/README.md#secrets"),
    "ms_hub_token": needless("models come from the Hugging Face hub or S3"),
    "om_hub_token": needless("models come from the Hugging Face hub or S3"),
}  # fmt: skip
LLAMA_FACTORY = Tool(
    name="LLaMA-Factory",
    own=frozenset({
        "stage", "finetuning_type", "lora_rank", "lora_target", "pref_beta", "pref_loss", "pref_ftx",
        "pref_bco_weight", "cutoff_len", "template", "dataset_dir", "val_size", "quantization_bit",
        "quantization_method", "adapter_name_or_path", "flash_attn", "preprocessing_num_workers", "pure_bf16",
        "disable_gradient_checkpointing", "double_quantization", "max_samples", "plot_loss",
    }),
    rules=RULES,
    families=FAMILIES,
    defaults=_defaults,
    refuses=_refuses,
    remarks=_remarks,
)  # fmt: skip
