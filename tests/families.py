"""Tiny random models of real families, made through transformers' configuration classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 2048,
}  # fmt: skip
HEADS: dict[str, Any] = {**SIZES, "head_dim": 8}
EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LOCAL_EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED: dict[str, Any] = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1,
    "first_k_dense_replace": 1,
}  # fmt: skip
LATENT: dict[str, Any] = {
    **SIZES, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8,
}  # fmt: skip
# The vision parts of multimodal models.
EYES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 56,
    "patch_size": 14,
}  # fmt: skip
DEEP: dict[str, Any] = {
    "depth": 2, "hidden_size": 32, "num_heads": 4, "intermediate_size": 48, "out_hidden_size": 32,
    "num_position_embeddings": 16,
}  # fmt: skip
LAYERS = ["sliding_attention", "full_attention"]
LINEAR: dict[str, Any] = {
    "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip
SECTIONS = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
HYBRID: dict[str, Any] = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8}

# model_type: what its configuration is given.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "mistral": SIZES,
    "qwen2": SIZES,
    "qwen3": HEADS,
    "gemma2": {**HEADS, "query_pre_attn_scalar": 8, "sliding_window": 16},
    "gemma3_text": HEADS,
    "phi3": SIZES,
    "olmo2": SIZES,
    "granite": SIZES,
    "smollm3": SIZES,
    "glm4": HEADS,
    "cohere": SIZES,
    "seed_oss": HEADS,
    "nemotron": HEADS,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048},
    "gpt_neox": SIZES,
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "minimax": {**HEADS, **LOCAL_EXPERTS, "layer_types": ["full_attention", "full_attention"]},
    "qwen2_moe": {**SIZES, **EXPERTS, "shared_expert_intermediate_size": 24},
    "qwen3_moe": {**HEADS, **EXPERTS},
    "mixtral": {**SIZES, **LOCAL_EXPERTS},
    "olmoe": {**SIZES, "num_experts": 4, "num_experts_per_tok": 2},
    "granitemoe": {**SIZES, **LOCAL_EXPERTS},
    "gpt_oss": {**HEADS, **LOCAL_EXPERTS},
    "deepseek_v3": {**LATENT, **ROUTED},
    "glm4_moe": {**HEADS, **ROUTED},
    "nemotron_h": {
        **HEADS,
        "layers_block_type": ["mamba", "attention", "mlp"],
        "mamba_num_heads": 4,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "num_hidden_layers": 3,
    },
    "qwen3_5_text": {**HEADS, **LINEAR},
    "gemma3": {"text_config": HEADS, "vision_config": EYES, "mm_tokens_per_image": 4},
    "gemma4": {
        "text_config": {**HEADS, "global_head_dim": 8, "hidden_size_per_layer_input": 8, "layer_types": LAYERS},
        "vision_config": {**EYES, "num_key_value_heads": 4, "head_dim": 8},
    },
    "mistral3": {"text_config": {"model_type": "mistral", **SIZES, "head_dim": 8}, "vision_config": EYES},
    "qwen2_5_vl": {
        "text_config": {**SIZES, "rope_parameters": SECTIONS},
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 4,
            "intermediate_size": 48,
            "out_hidden_size": 32,
        },
    },
    "qwen3_vl": {
        "text_config": {**HEADS, "rope_parameters": SECTIONS},
        "vision_config": {**DEEP, "deepstack_visual_indexes": [0]},
    },
    "qwen3_5": {"text_config": {**HEADS, **LINEAR}, "vision_config": DEEP},
    "qwen3_next": {
        **HEADS,
        **EXPERTS,
        "shared_expert_intermediate_size": 24,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "ernie4_5_moe": {
        **SIZES,
        "moe_num_experts": 4,
        "moe_k": 2,
        "moe_intermediate_size": 24,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
        "moe_layer_end_index": 1,
    },
    "hunyuan_v1_moe": {**HEADS, "num_experts": 4, "moe_topk": 2},
    "jamba": {
        **SIZES,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 2048},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048, "rotary_dim": 8},
    "falcon_mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "bamba": {**SIZES, **HYBRID, "attn_layer_indices": [1]},
    "falcon_h1": {**HEADS, **HYBRID, "mamba_d_ssm": 64},
    "granitemoehybrid": {**SIZES, **HYBRID, **LOCAL_EXPERTS, "layer_types": ["mamba", "attention"]},
    "phimoe": {**SIZES, **LOCAL_EXPERTS},
    "mamba2": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 8,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 2,
        "chunk_size": 16,
    },
    "qwen3_5_moe": {
        "text_config": {**HEADS, **LINEAR, **EXPERTS, "shared_expert_intermediate_size": 24},
        "vision_config": DEEP,
    },
    "qwen3_vl_moe": {
        "text_config": {**HEADS, **EXPERTS, "rope_parameters": SECTIONS},
        "vision_config": {**DEEP, "deepstack_visual_indexes": [0]},
    },
    "glm4v": {
        "text_config": {**SIZES, "rope_parameters": SECTIONS},
        "vision_config": {**EYES, "depth": 2, "num_heads": 4, "out_hidden_size": 32},
    },
    "internvl": {
        "text_config": {"model_type": "qwen2", **SIZES},
        "vision_config": {**EYES, "image_size": [56, 56], "patch_size": [14, 14]},
    },
    "lfm2_vl": {
        "text_config": {
            "model_type": "lfm2",
            **SIZES,
            "layer_types": ["conv", "full_attention"],
            "block_auto_adjust_ff_dim": False,
        },
        "vision_config": {**EYES, "num_patches": 16},
    },
}

# Those whose passes of training were compared, packed and padded, and nothing else.
COMPARED: dict[str, dict[str, Any]] = {
    "zamba2": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "mamba_d_state": 8,
        "mamba_ngroups": 1,
        "n_mamba_heads": 8,
        "mamba_headdim": 8,
        "layers_block_type": ["linear_attention", "hybrid", "linear_attention"],
        "num_mem_blocks": 1,
        "max_position_embeddings": 2048,
    },
    "olmo_hybrid": {**SIZES, **LINEAR, "linear_num_value_heads": 2, "linear_value_head_dim": 16},
    "lfm2": {**SIZES, "layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
}

# Those that do not train.
REFUSED: dict[str, dict[str, Any]] = {
    "llama4": {
        "text_config": {**HEADS, "num_local_experts": 4, "intermediate_size_mlp": 48, "interleave_moe_layer_step": 2},
        "vision_config": {**EYES, "vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32},
    },
}


def save_family(name: str, folder: Path, tokenizer: Path, **changes: Any) -> Path:
    """Write a random model of the family in bfloat16, with the tokenizer's files of another model's folder.

    `changes` are to the configuration.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMultimodalLM

    known = json.loads((tokenizer / "config.json").read_text())
    ids = {key: known[key] for key in ("vocab_size", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    settings = (FAMILIES | COMPARED | REFUSED)[name]
    if "text_config" in settings:
        settings = {**settings, "text_config": {**settings["text_config"], **ids}}
    config = AutoConfig.for_model(name, **{**settings, **ids, **changes})
    made_by = AutoModelForMultimodalLM if "text_config" in settings else AutoModelForCausalLM
    model = made_by.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:  # as far apart as trained ones: the experts that transformers makes are all alike
                parameter.normal_(std=0.08)
    model.to(torch.bfloat16).save_pretrained(folder)
    for file in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / file, folder / file)
    return folder
