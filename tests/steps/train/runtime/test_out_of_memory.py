"""A GPU without memory left is one error that names what to change."""

from __future__ import annotations

import pytest
import torch

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.runtime import out_of_memory

SAID = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 22.06 GiB"


def test_the_error_says_what_was_asked_for_and_what_the_recipe_can_change() -> None:
    arguments = TrainArguments(model_id="m", per_device_train_batch_size=4, max_length=2048)
    with pytest.raises(StepError) as caught, out_of_memory.explained(arguments):
        raise torch.OutOfMemoryError(f"{SAID}\nIf reserved memory is large …")
    assert str(caught.value) == (
        f"{SAID}\nChange the recipe: per_device_train_batch_size below 4 with more gradient_accumulation_steps, "
        "or max_length below 2048, or a larger or a further GPU; `python pipeline.py check` estimates what fits"
    )


def test_only_what_the_recipe_has_is_named() -> None:
    arguments = TrainArguments(
        model_id="m", gradient_checkpointing=False, max_tokens_per_batch=8192, max_length=512, load_in_4bit=False
    )
    with pytest.raises(StepError) as caught, out_of_memory.explained(arguments):
        raise torch.OutOfMemoryError(SAID)
    said = str(caught.value)
    assert "gradient_checkpointing: true, or max_tokens_per_batch below 8192, or max_length below 512" in said
    assert "load_in_4bit: true" in said and "per_device_train_batch_size" not in said


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="another"), out_of_memory.explained(TrainArguments(model_id="m")):
        raise RuntimeError("another")
