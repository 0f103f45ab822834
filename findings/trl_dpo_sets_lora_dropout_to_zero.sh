#!/usr/bin/env bash
# TRL 1.16.0: DPOTrainer trains a LoRA adapter without the dropout that its LoraConfig names, and saves a configuration
# that says otherwise.
#
# Expected: LoraConfig(lora_dropout=0.5) trains with that dropout; `disable_dropout` (default true) is documented for "the
# model", and the reference needs none.
# Seen: with the default every nn.Dropout has p = 0, the adapter's own too, while peft_config still has
# lora_dropout 0.5, which is what adapter_config.json will say. With disable_dropout=False it is 0.5.
# Why it matters: a sweep over lora_dropout trains the same model each time, and a recipe that is moved from TRL to a
# trainer that keeps the adapter's dropout trains another one.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check trl==1.16.0 transformers==5.23.0 peft==0.21.2 \
  accelerate==1.15.0 datasets==5.2.0 2>/dev/null
cat > show.py <<'PY'
import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

assert trl.__version__ == "1.16.0"
words = {word: number for number, word in enumerate(["<pad>", "</s>", "is", "it", "warm", "yes", "no"])}
plain = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="</s>")
config = LlamaConfig(
    vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
)
rows = Dataset.from_list([{"prompt": "is it warm", "chosen": " yes", "rejected": " no"}])


def dropouts(**given):
    """p of every dropout that trains, and what the adapter's configuration says."""
    trainer = DPOTrainer(
        model=LlamaForCausalLM(config), processing_class=tokenizer, train_dataset=rows,
        peft_config=LoraConfig(lora_dropout=0.5, target_modules=["q_proj"]),
        args=DPOConfig(output_dir="out", report_to="none", use_cpu=True, bf16=False, disable_tqdm=True, **given),
    )
    found = [module.p for module in trainer.model.modules() if isinstance(module, torch.nn.Dropout)]
    return found, trainer.model.peft_config["default"].lora_dropout


by_default, asked = dropouts(), dropouts(disable_dropout=False)
print("default:", *by_default, "| disable_dropout=False:", *asked)
assert by_default == ([0], 0.5), "changed: the adapter keeps its dropout, or its configuration tells the truth"
assert asked == ([0.5], 0.5)
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null | tail -1
