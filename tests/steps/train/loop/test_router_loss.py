"""The loss that balances experts is TRL's, beside DPO's own term, which is ln 2 at the first step all the same."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from steps.shared.contract import StepError
from tests.steps.train.trainers import first_loss

pytestmark = pytest.mark.usefixtures("one_thread")
LN2 = pytest.approx(math.log(2), abs=1e-5)


@pytest.fixture
def family_trainer(family_trainer: Callable[..., Any]) -> Callable[..., Any]:
    """The same with an adapter on attention alone."""
    return partial(family_trainer, target_modules=["q_proj", "v_proj"])


@pytest.mark.parametrize("family", ["qwen3_moe", "mixtral"])
def test_a_mixture_trains_with_its_routers_loss_on_whole_sequences(
    family_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture, family: str
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = family_trainer(family)
    assert not trainer.data_collator.packs
    assert any("router_aux_loss_coef: 0 trains without that loss, and packed" in line for line in caplog.messages)
    assert trainer.router_aux_loss_coef == 0.001
    assert first_loss(trainer) > math.log(2) + 0.001  # of even routing it is above 1


def test_the_recipes_weight_of_the_routers_loss_is_used(family_trainer: Callable[..., Any]) -> None:
    given, twice = (first_loss(family_trainer("mixtral", router_aux_loss_coef=weight)) for weight in (0.1, 0.2))
    assert twice - math.log(2) == pytest.approx(2 * (given - math.log(2)), rel=1e-3)
    off = family_trainer("mixtral", router_aux_loss_coef=0)
    assert off.data_collator.packs
    assert first_loss(off) == LN2


def test_a_routers_loss_that_trl_cannot_compute_is_refused_and_trains_without(
    family_trainer: Callable[..., Any],
) -> None:
    with pytest.raises(StepError) as caught:
        family_trainer("granitemoe")
    assert str(caught.value) == (
        "router_aux_loss_coef: 0.001: TRL cannot compute the router's loss of a granitemoe model, whose configuration "
        "has no num_experts; set router_aux_loss_coef: 0"
    )
    assert first_loss(family_trainer("granitemoe", router_aux_loss_coef=0)) == LN2
    with pytest.raises(StepError, match=r"router_aux_loss_coef: 0.1: a llama model gives no router's loss; leave it"):
        family_trainer("llama", router_aux_loss_coef=0.1)


def test_a_wrong_reference_is_told_beside_a_routers_loss(family_trainer: Callable[..., Any]) -> None:
    trainer = family_trainer("qwen3_moe", precompute_ref_log_probs=True)
    batch = partial(trainer.data_collator, [vars(pair) | {"row": 0} for pair in trainer.pairs_here[:4]])
    trainer.data_collator.reference[:] = 0.0
    with pytest.raises(StepError, match="and must be ln 2"):
        trainer.compute_loss(trainer.model.train(), batch())


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_the_first_loss_is_compared_with_its_weight(family_trainer: Callable[..., Any], weight: float) -> None:
    trainer = family_trainer("llama", loss_weights=[weight])
    assert first_loss(trainer) == pytest.approx(weight * math.log(2), abs=1e-5)
    trainer.first_loss_is_due, trainer.loss_weights = True, [1.0]
    with pytest.raises(StepError, match=rf"the first loss is 0.6931 and must be {weight:g} \* ln 2 = .*loss_weights"):
        first_loss(trainer)
