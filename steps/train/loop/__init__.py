"""The training loop: trainer, callbacks, checkpoints, the reference, and why a run ends early."""
