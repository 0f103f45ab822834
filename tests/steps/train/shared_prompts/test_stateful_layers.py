"""Hybrid models: packed rows give the figures and gradients of padded batches, and compute a prompt once.

In float32. Tiny random models of the families' own classes; those that are marked run in `make test-slow`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from steps.train.model.base_config import skeleton
from steps.train.shared_prompts.stateful_layers import find, hand_on, obstacle
from steps.train.shared_prompts.states import State
from tests.families import FAMILIES
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
    "qwen3_5": (HANDED, {}),
    "qwen3_5_moe": (HANDED, {"router_aux_loss_coef": 0}),
    "lfm2_vl": (HANDED, {}),
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
    family_trainer: Trainers, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
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

    trainers[1].model.gradient_checkpointing_enable({"use_reentrant": False})
    assert apart(gradients, outcome(trainers[1], "sigmoid")[1]) < 1e-5

    # The states count: without them a branch begins from nothing.
    monkeypatch.setattr(State, "copies", lambda states, of: State())
    moved = apart(gradients, outcome(trainers[1], "sigmoid")[1])
    assert (moved > 0.1) is (does == HANDED)


@pytest.mark.parametrize(("name", "layer", "stacked"), [("qwen3_next", "in_proj_qkvz", 118), ("jamba", "in_proj", 302)])
def test_a_layer_computes_a_prompt_once_for_all_its_answers(
    family_trainer: Trainers, name: str, layer: str, stacked: int
) -> None:
    """Of six pairs: trunks of 39, 22 and no tokens, with branches of 2 to 6, which attention computes without padding.
    In stacks the branches of each size are one of 6 tokens at most; behind their trunks, of 45, 28 and 5."""
    trainer = family_trainer(name, **SAME | HYBRIDS[name][1])
    tokens: Counter[str] = Counter()

    def count(name: str) -> Callable[..., None]:
        return lambda _, given, __: tokens.update({name: given[0].shape[:-1].numel()})

    for module_name, module in trainer.model.named_modules():
        last = module_name.rpartition(".")[2]
        if last in (layer, "q_proj"):
            module.register_forward_hook(count(last))
    outcome(trainer, "sigmoid")
    branches = (5 + 3 + 6 + 2) + (2 + 6 + 3 + 4) + (4 + 5)
    passes = 2  # the policy's and the reference's
    assert tokens["q_proj"] == passes * (39 + 22 + branches)
    assert stacked in (39 + 22 + 8 * 6 + 4 + 5, 4 * 45 + 4 * 28 + 2 * 5)
    assert tokens[layer] == passes * stacked < passes * 12 * 45  # padded: 12 sequences of 45


def test_layers_with_a_state_of_their_own_kind_take_no_row() -> None:
    minimax = without_weights("minimax", layer_types=["linear_attention", "full_attention"])
    assert obstacle(minimax) == "it has layers that carry a state along the row (linear_attention)"


def test_a_block_that_hands_nothing_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = without_weights("jamba")
    block = find(model)[0].block
    monkeypatch.setattr(type(block), "forward", lambda self, hidden_states, attention_mask=None: hidden_states)
    assert obstacle(model) == "its JambaMambaDecoderLayer does not hand on what a packed row needs"


def test_whether_a_class_continues_several_tokens_is_found_from_the_class() -> None:
    found = {name: hand_on(without_weights(name)) for name in ("qwen3_5_text", "bamba", "jamba")}
    assert found == {"qwen3_5_text": True, "bamba": True, "jamba": False}


def without_weights(family: str, **changes: Any) -> Any:
    from transformers import AutoConfig

    return skeleton(AutoConfig.for_model(family, vocab_size=260, **FAMILIES[family] | changes), "sdpa", False)
