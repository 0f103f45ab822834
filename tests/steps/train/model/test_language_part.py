"""An adapter of a multimodal model is on its language model alone, which is found from the model."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from steps.shared.contract import StepError
from tests.steps.train.trainers import first_loss, randomise

pytestmark = pytest.mark.usefixtures("one_thread")
DENSE = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def gradients(trainer: Any) -> dict[str, float]:
    """The size of each trained tensor's gradient, once the policy is not its reference any more."""
    randomise(trainer)
    batch = trainer.data_collator([vars(pair) for pair in trainer.pairs_here])
    trainer.first_loss_is_due = False
    trainer.compute_loss(trainer.model.train(), batch).backward()
    trained = {name: one for name, one in trainer.model.named_parameters() if one.requires_grad}
    return {name: 0.0 if one.grad is None else float(one.grad.norm()) for name, one in trained.items()}


@pytest.mark.parametrize("family", ["mistral3", "qwen2_5_vl"])
def test_every_tensor_of_the_adapter_gets_a_gradient(family_trainer: Callable[..., Any], family: str) -> None:
    """Qwen2.5-VL's vision blocks have modules of the same names as its language model."""
    trainer = family_trainer(family)
    assert first_loss(trainer) == pytest.approx(math.log(2), abs=1e-5)
    found = gradients(trainer)
    assert len(found) == 2 * 2 * len(DENSE)
    assert all(name.startswith("base_model.model.model.language_model.layers.") for name in found)
    assert min(found.values()) > 0
    assert sorted(trainer.model.peft_config["default"].target_modules) == DENSE


def test_modules_that_the_recipe_names_are_adapted_in_the_language_model_alone(
    family_trainer: Callable[..., Any],
) -> None:
    found = gradients(family_trainer("gemma3", target_modules=["q_proj", "v_proj"]))
    assert len(found) == 2 * 2 * 2 and all(".language_model." in name for name in found)


def test_a_module_outside_the_language_model_is_one_line(family_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StepError) as caught:
        family_trainer("gemma3", target_modules=["q_proj", "fc1"])
    assert str(caught.value) == (
        "target_modules: fc1: is not in the language model of this gemma3 model, and text gives a gradient to nothing "
        f"else; name some of {', '.join(DENSE)}"
    )


def test_a_class_without_a_backbone_of_its_own_is_one_line(family_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StepError) as caught:
        family_trainer("llama4", router_aux_loss_coef=0)
    assert str(caught.value).endswith(
        "/llama4: TRL cannot train a Llama4ForConditionalGeneration: its LM head is not apart from the rest; take a "
        "model of text alone, or of another family"
    )


def test_of_a_model_of_text_alone_nothing_is_left_out(family_trainer: Callable[..., Any]) -> None:
    config = family_trainer("llama").model.peft_config["default"]
    assert config.exclude_modules is None


def test_what_holds_the_language_model_and_its_head_are_not_left_out(family_trainer: Callable[..., Any]) -> None:
    trainer = family_trainer("qwen3_vl")
    pattern = trainer.model.peft_config["default"].exclude_modules
    names = [name for name, _ in trainer.model.get_base_model().named_modules()]
    left = {name for name in names if re.fullmatch(pattern, name)}
    assert left == {name for name in names if f"{name}.".startswith("model.visual.")}
