"""The Train step: FSDP2 + QLoRA DPO over preference pairs, held-out evaluation, adapter."""
