"""What only a GPU can tell: exactness of its attention, speed, memory. `python -m tests.gpu`; README.md says how."""
