"""What counts as the experts of a mixture: by a module's name in the model, and where it is at hand by its class.

A shared expert, through which every token goes, is none of them.
"""

from __future__ import annotations

EXPERTS = "experts"


def is_experts(module: str, class_name: str = "") -> bool:
    """Whether a module, by its dotted name, holds a layer's experts."""
    return module.rpartition(".")[2] == EXPERTS or EXPERTS in class_name.lower()


def holders(name: str) -> list[str]:
    """The modules that a parameter or module stands in, from the outermost on; the model itself is left out."""
    parts = name.split(".")[:-1]
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def of_experts(tensor: str) -> bool:
    """Whether a tensor, by its dotted name alone, belongs to experts."""
    return any(is_experts(module) for module in holders(tensor))
