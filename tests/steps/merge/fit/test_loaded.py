"""Merge refuses a base of which a tensor is missing, whatever the adapter changes; no weight is read for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.merge.fit.as_trained import require_sound
from steps.merge.fit.base import open_base
from steps.shared.contract import StepError
from tests.families import save_family

Tensors = dict[str, torch.Tensor]
# Tied embeddings; parts joined as they load; experts one by one; several kinds of parts under other names.
KINDS = ("llama", "gemma3_text", "qwen3_moe", "mistral3", "gpt2")


def change(base: Path, changed: Callable[[Tensors], Tensors]) -> None:
    save_file(changed(load_file(base / "model.safetensors")), base / "model.safetensors", metadata={"format": "pt"})


def refusal(base: Path) -> str:
    with pytest.raises(StepError) as refused:
        require_sound(open_base(str(base), None))
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("family", KINDS)
def test_any_tensor_that_is_missing_is_refused_and_a_whole_base_is_not(
    tiny_model: Path, tmp_path: Path, family: str
) -> None:
    base = save_family(family, tmp_path / family, tiny_model)
    require_sound(open_base(str(base), None))
    tensors = load_file(base / "model.safetensors")
    for name in sorted(tensors)[:: max(1, len(tensors) // 5)]:
        change(base, lambda _, gone=name: {other: tensors[other] for other in tensors if other != gone})
        assert " missing, first " in refusal(base), name


def test_what_is_missing_is_named(make_base) -> None:
    base = make_base()
    change(base, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != "model.norm.weight"})
    assert refusal(base) == (
        f"{base}: its weights and its config.json do not fit: 1 tensors are missing, first model.norm.weight; copy or "
        "download the model again, or save it again with save_pretrained"
    )


def test_a_missing_expert_is_named(make_mixture) -> None:
    base, _ = make_mixture()
    gone = "model.layers.1.mlp.experts.3.up_proj.weight"
    change(base, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != gone})
    assert refusal(base) == (f"{base}: 1 tensors of experts are missing, first {gone}; copy or download the base again")


def test_a_configuration_of_no_model_is_refused_and_one_of_an_unknown_family_is_told(make_base, capsys) -> None:
    base = make_base()
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"hidden_size": "32"}))
    assert refusal(base).startswith(f"{base}: transformers cannot make the model of this config.json: StrictDataclass")
    (base / "config.json").write_text(json.dumps(config | {"model_type": "of_another_library"}))
    require_sound(open_base(str(base), None))
    assert capsys.readouterr().out.startswith("note: transformers cannot make this model, so its tensors' names are ")
