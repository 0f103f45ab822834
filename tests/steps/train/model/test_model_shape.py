"""A model's shape against transformers' own models on the meta device, and an adapter's size against peft's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steps.shared.contract import StepError
from steps.train.model import shape as model_shape
from steps.train.model.shape import UnknownModel
from tests.steps.train import models


def meta_model(config: dict[str, Any]):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))


@pytest.mark.parametrize("name", models.ALL)
def test_weights_are_counted_as_the_model_has_them(name: str) -> None:
    import torch

    shape, model = model_shape.shape(models.ALL[name]), meta_model(models.ALL[name])
    assert shape.parameters == model.num_parameters()
    layer = model.model.layers[0]
    linear = {key: one for key, one in layer.named_modules() if isinstance(one, torch.nn.Linear)}
    assert {one.name: (one.inputs, one.outputs, one.bias) for one in shape.linears} == {
        key: (one.in_features, one.out_features, one.bias is not None) for key, one in linear.items()
    }
    assert shape.block_linear == sum(one.weight.numel() for one in linear.values())
    assert shape.block_other == sum(one.numel() for one in layer.parameters()) - shape.block_linear


@pytest.mark.parametrize(
    ("config", "count"),
    # Their model cards: 0.6B, 8.2B, 70.6B.
    [(models.QWEN3_0_6B, 596_049_920), (models.QWEN3_8B, 8_190_735_360), (models.LLAMA_70B, 70_553_706_496)],
    ids=["Qwen3-0.6B", "Qwen3-8B", "Llama-3.1-70B"],
)
def test_real_models_have_the_size_that_their_cards_state(config: dict[str, Any], count: int) -> None:
    assert model_shape.shape(config).parameters == count


@pytest.mark.parametrize("family", model_shape.DEFAULTS)
def test_what_a_config_leaves_out_is_what_transformers_fills_in(family: str, tmp_path: Path) -> None:
    from transformers import AutoConfig

    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(family, vocab_size=500, **sizes, num_key_value_heads=2)
    config.save_pretrained(tmp_path)
    shape = model_shape.read(tmp_path)
    assert shape.parameters == meta_model({"model_type": family, "vocab_size": 500, **sizes, "num_key_value_heads": 2}
                                          ).num_parameters()  # fmt: skip
    assert shape.positions == AutoConfig.for_model(family).max_position_embeddings


@pytest.mark.parametrize(
    "targets", ["all-linear", ["q_proj", "v_proj"], ["self_attn.o_proj", "embed_tokens"], ["layers.1.mlp.up_proj"]]
)
@pytest.mark.parametrize("name", ["Qwen3-0.6B", "Mistral-7B", "Llama with biases"])
def test_an_adapter_has_as_many_weights_as_pefts(name: str, targets: str | list[str]) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(meta_model(models.ALL[name]), LoraConfig(r=8, target_modules=targets))
    wanted = sum(one.numel() for one in model.parameters() if one.requires_grad)
    named = [targets] if isinstance(targets, str) else targets
    assert model_shape.shape(models.ALL[name]).lora_parameters(8, named) == wanted


def test_targets_without_a_module_are_named() -> None:
    shape = model_shape.shape(models.QWEN3_8B)
    assert shape.unmatched(["q_proj", "query_key_value", "layers.40.mlp.up_proj"]) == [
        "query_key_value", "layers.40.mlp.up_proj",
    ]  # fmt: skip
    assert shape.unmatched(["all-linear"]) == []


def test_scaled_positions_reach_further() -> None:
    config = models.QWEN3_8B | {"max_position_embeddings": 32768}
    scaled = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    assert model_shape.shape(config).positions == 32768
    assert model_shape.shape(config | {"rope_scaling": scaled}).positions == 131072
    assert model_shape.shape(config | {"rope_parameters": scaled}).positions == 131072


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "mixtral"}, "model_type mixtral: the shape is known for llama, mistral, qwen2, qwen3 only"),
        ({"hidden_size": 8}, "model_type None: the shape is known"),
        (models.QWEN3_8B | {"vocab_size": 0}, "vocab_size: must be whole numbers above 0"),
        ({"model_type": "llama", "hidden_size": 8}, "intermediate_size, num_hidden_layers, num_attention_heads, vocab"),
    ],
)
def test_a_config_of_another_shape_says_so(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnknownModel, match=message) as caught:
        model_shape.read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: ")


def test_a_missing_config_says_which(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"config\.json: the model's configuration is missing"):
        model_shape.read(tmp_path)


def test_more_layers_than_any_model_has_are_refused(tmp_path: Path) -> None:
    config = {"model_type": "llama", **dict.fromkeys(model_shape.SIZES, 64), "num_hidden_layers": 10**9}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StepError) as error:
        model_shape.read(tmp_path)
    assert str(error.value) == (f"{tmp_path / 'config.json'}: num_hidden_layers: 1,000,000,000: must be at most 10,000")
