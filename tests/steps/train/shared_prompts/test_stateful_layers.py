"""Hybrid models: packed rows give the figures and gradients of padded batches, and compute a prompt once.

In float32. Tiny random models of the families' own classes; those that are marked run in `make test-slow`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.steps.train.shared_prompts.outcomes import apart, outcome
from tests.steps.train.trainers import randomise

pytestmark = pytest.mark.usefixtures("one_thread")
Trainers = Callable[..., Any]
HANDED, WHOLE = "compute a prompt once and hand its state to each answer", "cannot hand it to several tokens"
# What its layers do, and what it does not train without.
HYBRIDS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3_next": (HANDED, {"router_aux_loss_coef": 0}),
    "bamba": (HANDED, {}),
    "jamba": (WHOLE, {"router_aux_loss_coef": 0}),
    "lfm2": (HANDED, {}),
    "qwen3_5_text": (HANDED, {}),
    "granitemoehybrid": (HANDED, {"router_aux_loss_coef": 0}),
    "falcon_h1": (HANDED, {}),
    "nemotron_h": (HANDED, {}),
    "zamba2": (HANDED, {}),
    "olmo_hybrid": (HANDED, {}),
}
ALWAYS = ("qwen3_next", "bamba", "jamba", "lfm2")
NAMED = [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.families) for name in HYBRIDS]
SAME = {"lora_dropout": 0, "label_smoothing": 0.1, "loss_type": ["robust"]}


@pytest.mark.parametrize("name", NAMED)
def test_a_hybrid_has_the_figures_and_gradients_of_whole_sequences(
    family_trainer: Trainers, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    does, settings = HYBRIDS[name]
    trainers = []
    for share in (False, True):
        with caplog.at_level(logging.INFO):
            trainers.append(family_trainer(name, share_prompts=share, **SAME | settings))
        assert trainers[-1].data_collator.packs is share
        randomise(trainers[-1])
    (said,) = [message for message in caplog.messages if "layers that carry a state" in message]
    assert does in said
    (figures, gradients), (others, other_gradients) = (outcome(trainer, "sigmoid") for trainer in trainers)
    assert others == pytest.approx(figures, rel=1e-5, abs=1e-6)
    assert apart(gradients, other_gradients) < 1e-5
