"""The merge: puts a LoRA adapter into its base model (being built)."""
