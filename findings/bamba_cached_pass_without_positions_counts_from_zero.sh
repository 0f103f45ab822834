#!/usr/bin/env bash
# transformers 5.23.0: a cached forward pass of Bamba that is given no `position_ids` takes each new token for the first one.
#
# Expected: model(input_ids=next, past_key_values=cache) gives the logits that the whole sequence gives, as it does for
# Llama: positions go on where the cache ends.
# Seen: Bamba's differ from the whole pass, and agree once position_ids are given; nothing is raised or warned of.
# Why it matters: a decoding loop of one's own (batched, with a shared beginning) writes other text than `generate`, which
# passes positions, and nothing but a comparison shows it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check transformers==5.23.0 2>/dev/null
cat > show.py <<'PY'
import torch
import transformers
from transformers import BambaConfig, BambaForCausalLM, LlamaConfig, LlamaForCausalLM

assert transformers.__version__ == "5.23.0"
torch.manual_seed(0)
sizes = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.5,
}  # fmt: skip
bamba = BambaForCausalLM(
    BambaConfig(
        **sizes, attn_layer_indices=[1], mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=16,
        mamba_chunk_size=16,
    )
).eval()
llama = LlamaForCausalLM(LlamaConfig(**sizes)).eval()
ids = torch.randint(3, 60, (1, 12))


@torch.no_grad()
def apart(model, **step):
    """Largest difference of the last token's logits between a cached pass and the whole sequence."""
    cache = model(input_ids=ids[:, :-1], use_cache=True).past_key_values
    cached = model(input_ids=ids[:, -1:], past_key_values=cache, use_cache=True, **step).logits[0, -1]
    return float((cached - model(input_ids=ids, use_cache=False).logits[0, -1]).abs().max())


named = {"position_ids": torch.tensor([[11]])}
figures = {
    "bamba": apart(bamba), "bamba with position_ids": apart(bamba, **named), "llama": apart(llama)
}  # fmt: skip
print({name: f"{value:.2g}" for name, value in figures.items()})
assert figures["bamba"] > 1e-2, "changed: Bamba counts on"
assert figures["bamba with position_ids"] < 1e-3 and figures["llama"] < 1e-3
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null | tail -1
