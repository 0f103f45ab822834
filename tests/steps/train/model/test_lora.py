"""What peft cannot put on a model is one line before a weight is read; what the quantisation reaches is counted."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model.lora import FittedAdapter, fit_adapter, fit_on
from tests.families import FAMILIES, save_family


def fitted(family: str, **arguments: object) -> FittedAdapter:
    from transformers import AutoConfig

    return fit_on(TrainArguments(model_id="m", **arguments), AutoConfig.for_model(family, **FAMILIES[family]))


@pytest.mark.parametrize(
    ("family", "arguments", "said"),
    [
        pytest.param(
            "qwen3_moe", {"lora_dropout": 0.1},
            "lora_dropout: 0.1: peft has no dropout for the experts and the router of a qwen3_moe model, which are "
            "parameters and no layers; set lora_dropout: 0, or leave them out: "
            "target_modules: [k_proj, o_proj, q_proj, v_proj]",
            id="dropout on experts",
        ),
        pytest.param(
            "mixtral", {"target_modules": ["w1", "q_proj"]},
            "target_modules: w1 without w3: the experts of a mixtral model hold both as one tensor; name both, or none "
            "of them",
            id="gate without up",
        ),
        pytest.param(
            "jamba", {"target_modules": ["w1", "q_proj"]},
            "target_modules: w1: the model has no such module, and peft passes over it; these would work: [down_proj, "
            "gate_proj, in_proj, k_proj, o_proj, out_proj, q_proj, up_proj, v_proj, x_proj]",
            id="one that is not there",
        ),
        pytest.param(
            "deepseek_v3", {"target_modules": ["q_proj"]},
            "target_modules: q_proj: the model has none of these modules; these would work: [down_proj, "
            "kv_a_proj_with_mqa, kv_b_proj, o_proj, q_a_proj, q_b_proj]",
            id="none that is there",
        ),
        pytest.param(
            "mamba2", {"target_modules": ["out_proj"]},
            "target_modules: out_proj: the model's code reads these layers' weights itself, or they return more than a "
            "layer does; these would work: [in_proj]",
            id="read by mamba",
        ),
    ],
)  # fmt: skip
def test_what_peft_refuses_is_told_in_the_recipes_words_with_targets_that_work(
    family: str, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(StepError) as refused:
        fitted(family, **arguments)
    assert str(refused.value) == said
    if "[" in said:  # the proposal was tried; here it is taken
        proposed = said.rpartition("[")[2].rstrip("]").split(", ")
        assert fitted(family, **arguments | {"target_modules": proposed}).coverage.adapted


def test_a_model_that_writes_no_text_is_one_line() -> None:
    from transformers import ViTConfig

    with pytest.raises(StepError, match=r"^m: the model cannot be made: Unrecognized configuration class .*ViTConfig"):
        fit_on(TrainArguments(model_id="m"), ViTConfig())


@pytest.mark.parametrize(
    ("family", "layers"),
    [
        ("mamba2", {"mixer.out_proj"}),
        ("falcon_mamba", {"mixer.out_proj", "mixer.x_proj", "mixer.dt_proj"}),
        ("bamba", {"mamba.out_proj"}),
        ("falcon_h1", {"mamba.out_proj"}),
        ("granitemoehybrid", {"mamba.out_proj"}),
        ("jamba", {"mamba.dt_proj"}),
        ("phimoe", {"mlp.router"}),
        ("llama", set()),
        ("falcon", set()),
        ("bloom", set()),
    ],
)
def test_layers_that_the_models_own_code_goes_around_get_no_adapter(family: str, layers: set[str]) -> None:
    found = fitted(family)
    assert {".".join(name.split(".")[-2:]) for name in found.places.left_out} == layers
    # Those of Mamba stay unquantised too, and with them what does so by default.
    assert ("lm_head" in found.unquantised) == (bool(layers) and family != "phimoe")
    assert family == "phimoe" or set(found.places.left_out) <= {*found.unquantised}


@pytest.mark.parametrize("family", ["llama", "gpt2", "falcon", "qwen3_moe", "jamba"])
def test_the_share_that_is_counted_is_the_share_that_bitsandbytes_quantises(
    tiny_model: Path, tmp_path: Path, family: str
) -> None:
    from bitsandbytes.nn import Linear4bit

    from steps.train.model.load import load_base

    arguments = TrainArguments(model_id=str(save_family(family, tmp_path / "base", tiny_model)))
    found = fit_adapter(arguments)
    loaded = load_base(arguments, found.attention, found.unquantised)
    real = [module for module in loaded.modules() if isinstance(module, Linear4bit)]
    assert sum(module.in_features * module.out_features for module in real) == found.coverage.quantised
    assert found.coverage.weights > found.coverage.adapted >= found.coverage.quantised
    assert (found.coverage.quantised == 0) == (family == "falcon")


def test_the_shares_of_a_mixture_are_told(tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = {}
    for family in ("qwen3_moe", "granitemoe"):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            fit_adapter(TrainArguments(model_id=str(save_family(family, tmp_path / family, tiny_model))))
        told[family] = caplog.messages
    assert told["qwen3_moe"] == [
        "the base's 0.107 million weights: 6% in NF4, the others in bfloat16; adapters on 23%",
        "its experts are 17% of the weights; adapters on 100% of them",
        "load_in_4bit: 25% of the weights beside embeddings and LM head become 4-bit: experts that are one tensor, and "
        "other layers that are no plain linear ones, stay in bfloat16",
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO):  # the other processes of a run
        fit_adapter(TrainArguments(model_id=str(tmp_path / "qwen3_moe")), first=False)
    assert caplog.messages == []
    assert told["granitemoe"][1] == "its experts are 29% of the weights; none of them gets an adapter"


def test_a_weight_that_is_split_or_initialised_is_not_read_directly() -> None:
    import torch

    from steps.train.model.unfit_layers import read_directly

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.split, self.drawn, self.read = (torch.nn.Linear(2, 2) for _ in range(3))
            torch.nn.init.xavier_uniform_(self.drawn.weight)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.drawn(values) @ self.read.weight + self.split.weight.split(1, dim=0)[0]

    assert list(read_directly(Block())) == ["read"]
    assert list(read_directly(torch.nn.Sequential(Block()))) == ["0.read"]
