#!/usr/bin/env bash
# TRL 1.16.0: DPOTrainer's reward accuracy of a model that equals its reference is 0.0, not 0.5.
#
# Expected: before the first step policy and reference are the same model, so every reward margin is 0; a fair count
# of ties gives 0.5, "no better than a coin".
# Seen: `eval_rewards/accuracies` is 0.0 with a loss of ln 2: a tie counts as wrong.
# Why it matters: "accuracy rose from 0 to 0.6" says much less than it seems to, and a gate on that figure is biased
# against models that leave rows untouched.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check trl==1.16.0 transformers==5.23.0 peft==0.21.2 \
  accelerate==1.15.0 datasets==5.2.0 2>/dev/null
cat > show.py <<'PY'
import math

import trl
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

assert trl.__version__ == "1.16.0"
words = ["<pad>", "</s>", "<unk>", "is", "it", "warm", "yes", "no", "very", "?"]
plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
)
model = LlamaForCausalLM(
    LlamaConfig(vocab_size=16, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
)
rows = Dataset.from_list([{"prompt": "is it warm ?", "chosen": " yes very", "rejected": " no"}] * 8)
trainer = DPOTrainer(
    model=model, processing_class=tokenizer, train_dataset=rows, eval_dataset=rows, peft_config=LoraConfig(r=4),
    args=DPOConfig(output_dir="out", report_to="none", use_cpu=True, bf16=False, disable_tqdm=True, max_length=32),
)
found = trainer.evaluate()
figures = {name: found[f"eval_{name}"] for name in ("loss", "rewards/margins", "rewards/accuracies")}
print(figures)
assert math.isclose(figures["loss"], math.log(2), abs_tol=1e-5) and figures["rewards/margins"] == 0
assert figures["rewards/accuracies"] == 0, "changed: a tie counts otherwise"
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null | tail -1
