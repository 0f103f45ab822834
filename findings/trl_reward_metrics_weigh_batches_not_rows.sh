#!/usr/bin/env bash
# TRL 1.16.0: DPOTrainer.evaluate() averages the reward metrics over batches, so each row of a short last batch counts
# for more; its `eval_loss` beside them is averaged over rows.
#
# Expected: with 8 of 9 rows right, `eval_rewards/accuracies` is 8/9, whatever the batch size.
# Seen: 8/9 with batches of 1, 3 and 9; with batches of 8 it is 0.5, because the one wrong row is a batch of its own, and
# the margin goes from 0.6 to 0. The loss is the same for every batch size.
# Why it matters: a gate or a comparison on held-out accuracy depends on the evaluation batch size and on which rows
# come last.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check trl==1.16.0 transformers==5.23.0 peft==0.21.2 \
  accelerate==1.15.0 datasets==5.2.0 2>/dev/null
cat > show.py <<'PY'
import copy
import math

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

assert trl.__version__ == "1.16.0"
words = {word: number for number, word in enumerate(["<pad>", "</s>", "is", "it", "warm", "yes", "no"])}
plain = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="</s>")
torch.manual_seed(0)
reference = LlamaForCausalLM(
    LlamaConfig(vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
)
policy = copy.deepcopy(reference)
with torch.no_grad():  # the policy likes "yes" better and "no" less than its reference does, after any prompt
    last = policy.model.norm(policy.model(torch.tensor([[2, 3, 4]])).last_hidden_state[0, -1])
    policy.lm_head.weight[words["yes"]] += last / last.norm()
    policy.lm_head.weight[words["no"]] -= last / last.norm()
right = {"prompt": "is it warm", "chosen": " yes", "rejected": " no"}
wrong = {"prompt": "is it warm", "chosen": " no", "rejected": " yes"}
rows = Dataset.from_list([right] * 8 + [wrong])


def evaluate(batch):
    trainer = DPOTrainer(
        model=copy.deepcopy(policy), ref_model=copy.deepcopy(reference), processing_class=tokenizer,
        train_dataset=rows, eval_dataset=rows,
        args=DPOConfig(
            output_dir="out", report_to="none", use_cpu=True, bf16=False, disable_tqdm=True,
            per_device_eval_batch_size=batch,
        ),
    )
    found = trainer.evaluate()
    return [found[f"eval_{name}"] for name in ("loss", "rewards/accuracies", "rewards/margins")]


seen = {batch: evaluate(batch) for batch in (1, 3, 8, 9)}
for batch, (loss, accuracy, margin) in seen.items():
    print(f"batches of {batch}: loss {loss:.4f}, accuracy {accuracy:.4f}, margin {margin:+.4f}")
assert all(math.isclose(seen[batch][0], seen[9][0], abs_tol=1e-4) for batch in seen)
assert all(math.isclose(seen[batch][1], 8 / 9, abs_tol=1e-6) for batch in (1, 3, 9))
assert seen[8][1] == 0.5, "changed: accuracy is averaged over rows"
assert seen[9][2] > 2 * abs(seen[8][2])
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null | grep "batches of"
