#!/usr/bin/env bash
# peft 0.21.2: `unload()` after `merge_adapter()` does not give the base model back.
#
# Expected: it is documented to "return the base model by removing all the PEFT modules", and to keep an adapter in the
# weights is what merge_and_unload() is for; so its logits are the base model's.
# Seen: the model that comes back still has the adapter's update in its weights, without a word: its logits are the
# adapter's, not the base model's. After unmerge_adapter() they are the base model's.
# Why it matters: the model is then taken for the base - as DPO's reference, for a comparison, for the next adapter - and
# the update is counted twice or compared with itself.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check peft==0.21.2 transformers==5.23.0 accelerate==1.15.0 2>/dev/null
cat > show.py <<'PY'
import warnings

import peft
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

assert peft.__version__ == "0.21.2"
text = " ".join(peft.tuners.lora.LoraModel.unload.__doc__.split())
print("documented:", text[:64])
assert "Return the base model by removing all the PEFT modules" in text
ids = torch.arange(3, 15)[None]


def with_adapter():
    """A small model, an adapter on it with a visible effect, and the logits without and with it."""
    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            initializer_range=0.3,
        )
    ).eval()
    plain = logits(base)
    model = get_peft_model(base, LoraConfig(r=4, init_lora_weights=False)).eval()
    return model, plain, logits(model)


def logits(model):
    with torch.no_grad():
        return model(input_ids=ids).logits


def apart(first, second):
    return float((first - second).abs().max())


model, plain, adapted = with_adapter()
model.merge_adapter()
with warnings.catch_warnings():
    warnings.simplefilter("error")  # a warning would be an answer too
    merged = logits(model.unload())
print(f"merge, unload:          {apart(merged, plain):.1g} from the base, {apart(merged, adapted):.1g} from the adapter")
model, plain, adapted = with_adapter()
model.merge_adapter()
model.unmerge_adapter()
unmerged = logits(model.unload())
print(f"merge, unmerge, unload: {apart(unmerged, plain):.1g} from the base, {apart(unmerged, adapted):.1g} from the adapter")
assert apart(merged, plain) > 0.1 and apart(merged, adapted) < 1e-3, "changed: unload gives the base back, or says so"
assert apart(unmerged, plain) < 1e-3
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null
