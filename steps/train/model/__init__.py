"""The base model and adapters: loading, identity, shape, FSDP without a GPU."""
