"""The quickstart's Muon: torch's own steps, in float32."""

from __future__ import annotations

import pytest
import torch

from steps.quickstart.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 8), (6, 24), (24, 6)])
def test_steps_are_those_of_torch_to_the_precision_of_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(4, *shape)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01}
    pairs = [(ours, Muon([ours], **options)), (theirs, torch.optim.Muon([theirs], **options))]
    for gradient in gradients:
        for weight, optimizer in pairs:
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert moved > 0.1
    assert (ours - theirs).norm() < 0.02 * moved


@pytest.mark.parametrize("shape", [(8, 8), (6, 24), (24, 6)])
def test_an_update_is_roughly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.5 and values.max() < 1.3
