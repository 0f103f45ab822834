"""Which modules FSDP2 shards as one unit: those that are really in the model, or those that the recipe names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model.blocks import sharded_classes
from tests.families import save_family


@pytest.fixture
def classes(tiny_model: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """`classes(family, asked)`: the names of the classes, for a recipe that asks for some or for none."""

    def call(family: str, asked: list[str] | None = None) -> list[str]:
        from transformers import AutoConfig

        from steps.train.model.base_config import skeleton

        folder = save_family(family, tmp_path / family, tiny_model)
        arguments = TrainArguments(model_id=str(folder), fsdp_config={"transformer_layer_cls_to_wrap": asked})
        return sharded_classes(arguments, skeleton(AutoConfig.from_pretrained(folder), "sdpa", False))

    return call


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("llama", ["LlamaDecoderLayer"]),
        ("qwen3_5_text", ["Qwen3_5DecoderLayer"]),  # its class names Qwen3.5's vision blocks too
        ("qwen3_5", ["Qwen3_5DecoderLayer", "Qwen3_5VisionBlock"]),
    ],
)
def test_blocks_of_parts_that_a_model_lacks_are_passed_over(
    classes: Callable[..., list[str]], family: str, expected: list[str]
) -> None:
    assert classes(family) == expected


def test_a_recipe_names_the_classes_itself(classes: Callable[..., list[str]]) -> None:
    assert classes("gemma3", ["Gemma3DecoderLayer"]) == ["Gemma3DecoderLayer"]


def test_a_class_that_is_not_in_the_model_is_one_line_with_those_that_are(classes: Callable[..., list[str]]) -> None:
    with pytest.raises(StepError) as caught:
        classes("gemma3", ["Gemma3DecoderLayer", "LlamaDecoderLayer"])
    assert str(caught.value) == (
        "fsdp_config.transformer_layer_cls_to_wrap: LlamaDecoderLayer: a gemma3 model has none; its blocks: "
        "Gemma3DecoderLayer, SiglipEncoderLayer"
    )


def test_a_model_whose_blocks_are_not_told_asks_for_them(
    classes: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    monkeypatch.setattr(transformers.LlamaPreTrainedModel, "_no_split_modules", None)
    with pytest.raises(StepError) as caught:
        classes("llama")
    assert str(caught.value) == (
        "fsdp_config.transformer_layer_cls_to_wrap: transformers does not tell which modules of a llama model are its "
        "blocks; name one or several of: LlamaDecoderLayer"
    )
