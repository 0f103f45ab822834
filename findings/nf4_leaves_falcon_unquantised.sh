#!/usr/bin/env bash
# transformers 5.23.0 with bitsandbytes 0.50.2: `load_in_4bit=True` quantises nothing of a Falcon model, without a word.
#
# Expected: the linear layers of the decoder are Linear4bit, as Llama's are, or an error or a warning says otherwise.
# Seen: all of Falcon's linear layers stay `FalconLinear` in bfloat16, because only torch.nn.Linear itself is replaced
# and no subclass of it; `is_loaded_in_4bit` is True all the same.
# Why it matters: QLoRA on such a model needs four times the memory that was planned, and the log says 4-bit.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check transformers==5.23.0 bitsandbytes==0.50.2 accelerate==1.15.0 \
  2>/dev/null
cat > show.py <<'PY'
import tempfile

import bitsandbytes
import torch
import transformers
from transformers import (
    AutoModelForCausalLM, BitsAndBytesConfig, FalconConfig, FalconForCausalLM, LlamaConfig, LlamaForCausalLM,
)  # fmt: skip

assert (transformers.__version__, bitsandbytes.__version__) == ("5.23.0", "0.50.2")
NF4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def quantised(model):
    with tempfile.TemporaryDirectory() as folder:
        model.to(torch.bfloat16).save_pretrained(folder)
        loaded = AutoModelForCausalLM.from_pretrained(folder, quantization_config=NF4, device_map="cpu")
    linear = [m for name, m in loaded.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    in_4bit = [m for m in linear if isinstance(m, bitsandbytes.nn.Linear4bit)]
    kinds = sorted({type(m).__name__ for m in linear})
    print(f"{type(loaded).__name__}: {len(in_4bit)} of {len(linear)} linear layers in 4-bit ({', '.join(kinds)}),",
          f"is_loaded_in_4bit {loaded.is_loaded_in_4bit}")
    return len(in_4bit), len(linear), loaded.is_loaded_in_4bit


size = {"vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
assert quantised(LlamaForCausalLM(LlamaConfig(intermediate_size=128, **size))) == (14, 14, True)
assert quantised(FalconForCausalLM(FalconConfig(**size))) == (0, 8, True), "changed: Falcon is quantised, or it is said"
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null
