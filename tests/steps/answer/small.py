"""A tiny random model, its tokenizer of 64 words, and an adapter that changes much of what it says."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END, CALL = 1, 2
WORDS = ["<unk>", "<end>", "<call>", "user", "system", "tools", *(f"w{n}" for n in range(58))]
TEMPLATE = (
    "{% if tools %}tools {{ tools | length }} {% endif %}"
    "{% for message in messages %}{{ message.role }} {{ message.content }} {% endfor %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(WordLevel({word: id for id, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="<end>", additional_special_tokens=["<call>"]
    )
    made.chat_template = TEMPLATE
    return made


def base_and_adapter(home: Path, positions: int) -> dict[str, Path]:
    """The folders of both below `home`, each with the tokenizer; the base is in two shards.

    Args:
        positions: tokens that prompt and answer may take together.
    """
    torch.manual_seed(7)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=64, num_key_value_heads=2, max_position_embeddings=positions, **sizes)
    base = LlamaForCausalLM(config)
    base.save_pretrained(home / "base", max_shard_size="40KB")
    adapted = get_peft_model(base, LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(home / "adapter")
    for name in ("base", "adapter"):
        tokenizer().save_pretrained(home / name)
    return {name: home / name for name in ("base", "adapter")}
