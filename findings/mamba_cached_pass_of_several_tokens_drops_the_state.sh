#!/usr/bin/env bash
# transformers 5.23.0, PyTorch path (no mamba_ssm installed): Mamba, FalconMamba and Jamba forget the text in the cache
# when more than one token follows it in one pass.
#
# Expected: a prompt run in two pieces, the second with the first one's cache, gives the logits of the whole prompt, as
# it does for Llama and Mamba 2.
# Seen: with pieces of 8 and 4 tokens the three models' last logits are far off; with pieces of 8, 1, 1, 1 and 1 they
# agree. Only a single token is scanned from the cached state; several are scanned from zero. Nothing is raised or
# warned of.
# Why it matters: a long prompt run in chunks, or answers scored behind a shared, cached prompt, get other figures.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 2>/dev/null
venv/bin/pip install --quiet --disable-pip-version-check transformers==5.23.0 2>/dev/null
cat > show.py <<'PY'
import torch
import transformers
from transformers import (
    FalconMambaConfig, FalconMambaForCausalLM, JambaConfig, JambaForCausalLM, LlamaConfig, LlamaForCausalLM,
    Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM,
)  # fmt: skip

assert transformers.__version__ == "5.23.0"
torch.manual_seed(0)
size = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}
heads = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
models = {
    "Mamba": MambaForCausalLM(MambaConfig(state_size=8, **size)),
    "FalconMamba": FalconMambaForCausalLM(FalconMambaConfig(state_size=8, **size)),
    "Jamba": JambaForCausalLM(JambaConfig(attn_layer_period=2, attn_layer_offset=1, num_experts=1, **heads, **size)),
    "Mamba2": Mamba2ForCausalLM(Mamba2Config(state_size=8, num_heads=8, head_dim=8, n_groups=1, **size)),
    "Llama": LlamaForCausalLM(LlamaConfig(**heads, **size)),
}
ids = torch.randint(3, 60, (1, 12))


@torch.no_grad()
def apart(model, pieces):
    """Largest difference of the last token's logits between the pieces, each with the cache so far, and the whole."""
    name = "cache_params" if "Mamba" in type(model).__name__ else "past_key_values"
    cache, done = {}, 0
    for length in pieces:
        places = {} if name == "cache_params" else {"position_ids": torch.arange(done, done + length)[None]}
        answer = model(input_ids=ids[:, done : done + length], use_cache=True, **cache, **places)
        cache, done = {name: getattr(answer, name)}, done + length
    return float((answer.logits[0, -1] - model(input_ids=ids, use_cache=False).logits[0, -1]).abs().max())


for name, model in models.items():
    several, single = apart(model.eval(), (8, 4)), apart(model, (8, 1, 1, 1, 1))
    print(f"{name}: 8 + 4 tokens {several:.1g}, 8 + 1 + 1 + 1 + 1 tokens {single:.1g}")
    assert single < 1e-3
    if name in ("Mamba2", "Llama"):
        assert several < 1e-3
    else:
        assert several > 1e-1, f"changed: {name} goes on from the cached state"
PY
HF_HUB_OFFLINE=1 venv/bin/python show.py 2>/dev/null
