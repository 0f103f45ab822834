"""What the tests of the merge share: tiny random Qwen2 models, adapters with random weights, the step as a process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
EXPERTS = {
    "num_hidden_layers": 4, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8,
}  # fmt: skip
# A chat template of many tokens: the more there are, the more stand between two experts.
TOKENS = "{% for letter in messages[0].content * 2 %}{{ 'a ' if letter < 'k' else 'b ' }}{% endfor %}"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture
def save_tokenizer() -> Callable[[Path, str], None]:
    """Save a tokenizer of three words; the text of its chat template tells where it came from."""

    def save(folder: Path, template: str) -> None:
        words = Tokenizer(WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
        words.pre_tokenizer = Whitespace()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?", pad_token="?", eos_token="?")
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)

    return save


@pytest.fixture
def make_base(tmp_path: Path, save_tokenizer: Callable[[Path, str], None]) -> Callable[..., Path]:
    """Write a base model with its tokenizer; sizes of Qwen2Config can be overridden."""

    def make(
        name: str = "base", dtype: torch.dtype = torch.bfloat16, max_shard_size: str = "1GB", tokenizer: bool = True,
        **sizes: Any,
    ) -> Path:  # fmt: skip
        torch.manual_seed(7)
        Qwen2ForCausalLM(Qwen2Config(**SIZES | sizes)).to(dtype).save_pretrained(
            tmp_path / name, max_shard_size=max_shard_size
        )
        if tokenizer:
            save_tokenizer(tmp_path / name, "base")
        return tmp_path / name

    return make


@pytest.fixture
def make_adapter(tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter for a base, as peft does, with weights as if it had been trained."""

    def make(base: Path, name: str = "adapter", **settings: Any) -> Path:
        settings = {"r": 4, "lora_alpha": 7, "target_modules": LINEAR} | settings
        model = get_peft_model(Qwen2ForCausalLM.from_pretrained(base), LoraConfig(**settings))
        torch.manual_seed(11)
        for parameter_name, parameter in model.named_parameters():
            if "lora_" in parameter_name:
                parameter.data.normal_(std=0.1)
        model.save_pretrained(tmp_path / name, save_embedding_layers=False)  # as steps.train saves: LoRA matrices only
        return tmp_path / name

    return make


@pytest.fixture
def make_mixture(tmp_path: Path, save_tokenizer: Callable[[Path, str], None]) -> Callable[[], tuple[Path, Path]]:
    """Write a Qwen3-MoE of random weights, stored expert by expert, and an adapter on all its linear layers."""

    def make(seed: int = 2) -> tuple[Path, Path]:
        base, adapter = tmp_path / "mixture", tmp_path / "of-mixture"
        torch.manual_seed(seed)
        model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES | EXPERTS))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:  # the experts that transformers makes are nearly alike
                    parameter.normal_(std=0.3)
        model.to(torch.bfloat16).save_pretrained(base)
        save_tokenizer(base, TOKENS)
        adapted = get_peft_model(
            Qwen3MoeForCausalLM.from_pretrained(base),
            LoraConfig(r=4, lora_alpha=7, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.data.normal_(std=0.1)
        adapted.save_pretrained(adapter, save_embedding_layers=False)
        return base, adapter

    return make


@pytest.fixture
def merge(
    forked: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m steps.merge` into OUT, in a forked child, by default without the check of logits."""

    def call(
        base: Path | str, adapter: Path, *more: str | Path, output: Path | None = None, logits: str = "never",
        **variables: str,
    ):  # fmt: skip
        variables = {"OPT_ML": "/nonexistent", **variables}
        words = ("--base", base, "--adapter", adapter, "--output", output or tmp_path / "out", *more)
        words += ("--check-logits", logits)
        return forked("-m", "steps.merge", *words, **variables)

    return call
