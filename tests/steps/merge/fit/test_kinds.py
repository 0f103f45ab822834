"""Every kind of adapter that is supported gives bitwise what peft gives, and computes what base and adapter compute."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    GPT2Config,
    GptOssConfig,
    HunYuanMoEV1Config,
    MixtralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3MoeConfig,
)

from steps.merge.__main__ import main
from steps.merge.fit.tensor_changes import Change, Product
from steps.merge.write import arithmetic
from steps.shared.weights.safetensors_file import TensorFile, read_header

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
QWEN, TIED = Qwen2Config(**SIZES), Qwen2Config(**SIZES, tie_word_embeddings=True)
GPT2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, tie_word_embeddings=False)
MIXTRAL = MixtralConfig(**SIZES, num_local_experts=4)
QWEN_MOE = Qwen3MoeConfig(**SIZES, head_dim=8, moe_intermediate_size=24, num_experts=4, num_experts_per_tok=2)
DEEPSEEK = DeepseekV3Config(
    **SIZES | {"num_key_value_heads": 4}, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
    n_group=2, topk_group=1, first_k_dense_replace=1, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8,
    qk_nope_head_dim=8, v_head_dim=8,
)  # fmt: skip
HUNYUAN = HunYuanMoEV1Config(**SIZES, head_dim=8, num_experts=4, moe_topk=2)
GPT_OSS = GptOssConfig(
    **SIZES | {"intermediate_size": 32}, head_dim=8, num_local_experts=4, num_experts_per_tok=2
)  # its down_proj is square, as in the 20B and 120B models

LINEAR = ["q_proj", "down_proj"]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
RANKS = {"rank_pattern": {"q_proj": 2, r".*layers\.1\.mlp\..*": 6}, "alpha_pattern": {"v_proj": 3}}
OF_EXPERTS = {"target_modules": ["q_proj"], "rank_pattern": {"experts.down_proj": 2}}
BOTH = ["embed_tokens", "lm_head"]
BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32


@pytest.fixture
def make(tmp_path: Path, save_tokenizer: Callable[[Path, str], None]) -> Callable[..., tuple[Path, Path]]:
    """Write a base of any architecture, and an adapter all of whose weights are as if they had been trained."""

    def call(
        config: PreTrainedConfig, dtype: torch.dtype, saved: dict[str, object] | None = None, **lora: object
    ) -> tuple[Path, Path]:
        base, adapter = tmp_path / "base", tmp_path / "adapter"
        torch.manual_seed(7)
        AutoModelForCausalLM.from_config(config).to(dtype).save_pretrained(base, max_shard_size="30KB")
        save_tokenizer(base, "a b")
        lora = {"r": 4, "lora_alpha": 7, "target_modules": LINEAR} | lora
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), LoraConfig(**lora))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += torch.randn_like(parameter) * 0.1
        model.save_pretrained(adapter, **saved or {})
        return base, adapter

    return call


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def by_peft(base: Path, adapter: Path, target: Path) -> dict[str, torch.Tensor]:
    """What peft's merged model saves: of experts that are fused in memory, the checkpoint's tensors."""
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), adapter)
    model.merge_and_unload().save_pretrained(target)
    return weights(target)


def check_same_bits(base: Path, adapter: Path, tmp_path: Path, changed: int) -> None:
    """Merge, and compare with peft; `changed` tensors must differ from the base's."""
    words = ["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")]
    main([*words, "--check-logits", "always"])
    before, after, expected = weights(base), weights(tmp_path / "out"), by_peft(base, adapter, tmp_path / "peft")
    assert after.keys() == before.keys() == expected.keys()
    for name, tensor in after.items():
        assert tensor.dtype == before[name].dtype, name
        assert torch.equal(tensor, expected[name].to(tensor.dtype)), name  # a router may be float32 once it is loaded
    assert sum(not torch.equal(after[name], before[name]) for name in after) == changed
    found = json.loads((tmp_path / "out" / "manifest.json").read_text())["logits"]
    assert found["experts"] or found["difference"] <= found["tolerance"]
    assert found["adapter_effect"] > 4 * found["difference"]


@pytest.mark.parametrize(
    ("config", "dtype", "lora", "changed"),
    [
        pytest.param(QWEN, BF16, {}, 4, id="lora-bf16"),
        pytest.param(QWEN, F16, {}, 4, id="lora-fp16"),
        pytest.param(QWEN, F32, {}, 4, id="lora-fp32"),
        pytest.param(TIED, BF16, {"target_modules": "all-linear"}, 14, id="tied"),
        pytest.param(QWEN, BF16, {"target_modules": ["q_proj", "lm_head"]}, 3, id="lm_head"),
        pytest.param(QWEN, BF16, {"target_modules": "all-linear"} | RANKS, 14, id="patterns"),
        pytest.param(QWEN, F32, {"use_rslora": True} | RANKS, 4, id="rslora-patterns"),
        pytest.param(QWEN, BF16, {"use_dora": True}, 4, id="dora-bf16"),
        pytest.param(QWEN, F32, {"use_dora": True, "use_rslora": True}, 4, id="dora-fp32"),
        pytest.param(QWEN, BF16, {"target_modules": ["embed_tokens", "q_proj"]}, 3, id="embedding"),
        pytest.param(QWEN, BF16, {"target_modules": ["embed_tokens"], "use_dora": True}, 1, id="embedding-dora"),
        pytest.param(QWEN, BF16, {"modules_to_save": [*BOTH, "model.norm"]}, 7, id="modules_to_save"),
        pytest.param(TIED, BF16, {"modules_to_save": BOTH, "ensure_weight_tying": True}, 5, id="modules_to_save-tied"),
        pytest.param(QWEN, BF16, {"bias": "all"}, 10, id="bias-all"),
        pytest.param(QWEN, F32, {"bias": "lora_only"}, 6, id="bias-lora_only"),
        pytest.param(QWEN, BF16, {"target_modules": ["q_proj"], "lora_bias": True}, 4, id="lora_bias"),
        pytest.param(GPT2, BF16, {"target_modules": ["c_attn", "c_proj", "lm_head"]}, 7, id="conv1d"),
        pytest.param(GPT2, F32, {"target_modules": ["c_attn", "c_proj"], "use_dora": True}, 6, id="conv1d-dora"),
        pytest.param(MIXTRAL, BF16, {"target_modules": [], "target_parameters": EXPERTS}, 24, id="experts-mixtral"),
        pytest.param(QWEN_MOE, BF16, {"target_parameters": EXPERTS} | OF_EXPERTS, 26, id="experts-qwen"),
        pytest.param(GPT_OSS, BF16, {"target_modules": [], "target_parameters": EXPERTS}, 4, id="experts-fused"),
        pytest.param(MIXTRAL, BF16, {"target_modules": "all-linear"}, 34, id="all-linear-mixtral"),
        pytest.param(QWEN_MOE, BF16, {"target_modules": "all-linear"}, 34, id="all-linear-qwen"),
        pytest.param(DEEPSEEK, BF16, {"target_modules": "all-linear"}, 23, id="all-linear-deepseek"),
        pytest.param(HUNYUAN, BF16, {"target_modules": "all-linear"}, 34, id="all-linear-hunyuan"),
        pytest.param(QWEN, BF16, {"target_parameters": ["k_proj.weight"]}, 6, id="parameter-of-a-layer"),
    ],
)  # fmt: skip
def test_a_kind_has_the_bits_of_peft(make, tmp_path, config, dtype, lora, changed) -> None:
    check_same_bits(*make(config, dtype, **lora), tmp_path, changed)


def test_an_adapter_in_bf16_merges_as_peft_does(make, tmp_path) -> None:
    base, adapter = make(QWEN, BF16, use_dora=True)
    file = adapter / "adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file)
    check_same_bits(base, adapter, tmp_path, changed=4)


def test_embeddings_that_were_saved_as_they_are_take_their_place(make, tmp_path) -> None:
    check_same_bits(*make(TIED, BF16, saved={"save_embedding_layers": True}), tmp_path, changed=4)


@pytest.mark.parametrize("dtype", [BF16, F32])
def test_experts_that_an_older_peft_named_one_by_one_merge_as_todays_does(make, tmp_path, dtype) -> None:
    parts = ["gate_proj", "up_proj", "down_proj"]
    base, adapter = make(QWEN_MOE, dtype)
    tensors = {}
    for name, weight in weights(base).items():
        if ".experts." in name:
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = torch.randn(4, weight.shape[1]) * 0.1
            tensors[f"{module}.lora_B.weight"] = torch.randn(weight.shape[0], 4) * 0.1
    save_file(tensors, adapter / "adapter_model.safetensors")
    LoraConfig(r=4, lora_alpha=7, target_modules=parts).save_pretrained(adapter)
    check_same_bits(base, adapter, tmp_path, changed=24)


@settings(max_examples=60, deadline=None)
@example(209, 418, 100, False, False, 64, 0.7)  # a last block of one row
@example(4097, 150, 64, False, False, 1 << 12, 0.7)
@given(
    st.integers(1, 700), st.integers(1, 700), st.sampled_from([1, 3, 8, 16, 64, 100]), st.booleans(), st.booleans(),
    st.sampled_from([64, 1 << 12, 1 << 16]), st.sampled_from([0.7, 2.0, 0.25]),
)  # fmt: skip
def test_blocks_of_rows_have_the_bits_of_the_whole(
    tmp_path_factory, outputs, inputs, rank, transposed, dora, block, scale
):
    assume(not transposed or outputs >= 16)  # a transposed layer of fewer is nowhere, and has other last bits
    torch.manual_seed(outputs * 1000 + inputs)
    folder = tmp_path_factory.mktemp("blocks")
    a, b, magnitude = torch.randn(rank, inputs), torch.randn(outputs, rank), torch.rand(outputs)
    weight = torch.randn((inputs, outputs) if transposed else (outputs, inputs)).bfloat16()
    save_file({"a": a, "b": b, "magnitude": magnitude}, folder / "adapter.safetensors")
    save_file({"weight": weight}, folder / "base.safetensors")
    product = Product("a", "b", scale, transposed, magnitude="magnitude" if dora else None)

    delta = (b @ a) * scale
    total = (weight.T if transposed else weight) + delta
    if dora:
        total = (magnitude / torch.linalg.norm(total, dim=1)).view(-1, 1) * total
    expected = (total.T if transposed else total).bfloat16()

    paths = [folder / "adapter.safetensors", folder / "base.safetensors"]
    with pytest.MonkeyPatch.context() as patch, TensorFile(paths[0], read_header(paths[0])) as adapter:
        patch.setattr(arithmetic, "BLOCK", block)
        with TensorFile(paths[1], read_header(paths[1])) as base:
            found = []
            for part in arithmetic.Arithmetic(adapter).blocks(base, "weight", Change(product=product)):
                found.append(torch.empty(part.size, dtype=torch.uint8))
                part.compute(found[-1])
    assert torch.equal(torch.cat(found).view(torch.bfloat16).view(weight.shape), expected)
