"""One folder a step: its definition (`step.py`) beside the code that its container runs."""
