"""What serving an adapter asks of it; shared by the recipes' rules and the gate. Imports the standard library only."""

from __future__ import annotations

# vllm/config/lora.py, MaxLoRARanks: the values that an endpoint's max_lora_rank can have.
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def max_lora_rank(rank: int) -> int:
    """The endpoint's setting for an adapter: the least that holds its rank. Above the largest, the rank itself, which
    vLLM refuses: such an adapter can only be merged."""
    return next((allowed for allowed in VLLM_RANKS if allowed >= rank), rank)
