"""What a model's class has is found from the model: its attention, its packed forward pass, what makes it random."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from steps.shared.contract import StepError
from tests.steps.train.trainers import first_loss

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss"])
def test_a_class_without_sdpa_trains_with_its_own_attention(
    family_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture, family: str
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = family_trainer(family, router_aux_loss_coef=0 if family == "gpt_oss" else None)
    assert f"attention: a {family} model has no sdpa here; eager is used" in caplog.messages
    assert trainer.attention == "eager" and not trainer.data_collator.packs
    assert first_loss(trainer) == pytest.approx(math.log(2), abs=1e-5)


def test_an_attention_that_the_recipe_names_and_the_class_has_not_is_one_line(
    family_trainer: Callable[..., Any],
) -> None:
    with pytest.raises(StepError) as caught:
        family_trainer("gemma2", attn_implementation="sdpa")
    assert str(caught.value) == (
        "attn_implementation: sdpa: a gemma2 model has no such attention here; write auto, which takes the fastest "
        "that it has"
    )


def test_a_class_whose_attention_hands_nothing_on_trains_on_whole_sequences(
    family_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = family_trainer("nemotron")
    assert not trainer.data_collator.packs
    reason = "its forward pass does not take them (packed_sdpa() missing 1 required keyword-only argument: 'packed')"
    assert any(reason in line and line.endswith("every sequence is computed whole") for line in caplog.messages)
    assert first_loss(trainer) == pytest.approx(math.log(2), abs=1e-5)


def test_sinks_of_an_attention_are_no_part_of_packed_rows() -> None:
    from steps.train.shared_prompts.attention import packed_sdpa

    query = torch.zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match="its attention has sinks"):
        packed_sdpa(torch.nn.Identity(), query, query, query, None, packed=None, s_aux=torch.zeros(2))


def test_dropout_that_a_configuration_asks_for_is_off_in_policy_and_reference(
    family_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        trainer = family_trainer("seed_oss", {"attention_dropout": 0.3, "residual_dropout": 0.3})
    said = "the base's attention_dropout, residual_dropout set to 0: its answers must be the same each time"
    assert said in caplog.messages
    assert trainer.data_collator.packs
    assert first_loss(trainer) == pytest.approx(math.log(2), abs=1e-5)
