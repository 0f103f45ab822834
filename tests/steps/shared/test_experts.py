"""What counts as the experts of a mixture, by names and classes."""

from __future__ import annotations

import pytest

from steps.shared.experts import holders, is_experts, of_experts


@pytest.mark.parametrize(
    ("tensor", "belongs"),
    [
        ("model.layers.0.mlp.experts.3.gate_proj.weight", True),
        ("model.layers.0.mlp.experts.gate_up_proj", True),
        ("model.layers.0.mlp.shared_experts.gate_proj.weight", False),
        ("model.layers.0.mlp.gate.weight", False),
        ("model.layers.0.mlp.experts", False),  # a tensor of that name stands in no experts
    ],
)
def test_a_tensor_belongs_to_the_experts_that_it_stands_in(tensor: str, belongs: bool) -> None:
    assert of_experts(tensor) is belongs


def test_a_module_is_experts_by_its_name_or_its_class() -> None:
    assert is_experts("layers.0.mlp.experts") and is_experts("layers.0.mlp.moe", "GraniteMoeParallelExperts")
    assert not is_experts("layers.0.mlp.shared_experts", "DeepseekV3MLP") and not is_experts("experts.0")


def test_what_holds_a_tensor_is_named_from_the_outermost_on() -> None:
    assert holders("a.b.weight") == ["a", "a.b"] and holders("weight") == []
