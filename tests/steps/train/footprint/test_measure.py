"""What is measured on a model's code: as the formulas say for the families that have them, and as real tensors take."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoConfig

from steps.shared.model_class import auto_class
from steps.train.arguments import TrainArguments
from steps.train.footprint import __main__ as command
from steps.train.footprint import measure as measuring
from steps.train.footprint.allocations import attention_kept_as_on_a_gpu
from steps.train.footprint.measure import CannotMeasure, measure
from steps.train.footprint.passes import SEQUENCES, Pass, counted
from steps.train.footprint.sizes import Footprint, from_dict
from steps.train.model import shape as model_shape
from steps.train.model.adapter import base_of
from steps.train.model.base_config import skeleton
from steps.train.model.lora import Trial, lora_config, try_on
from steps.train.preflight import memory
from tests.families import FAMILIES
from tests.steps.train import models

RECIPE = TrainArguments(model_id="m", per_device_train_batch_size=1)
# One of each kind that the formulas do not know: mixtures (the second with eager attention), multimodal, Mamba hybrid.
OTHERS = (
    "qwen3_moe",
    *(pytest.param(name, marks=pytest.mark.families) for name in ("gpt_oss", "qwen3_5", "bamba")),
)
SHORT = {"num_hidden_layers": 2}
DENSE = {
    "llama": models.LLAMA_70B | SHORT,
    "mistral": models.MISTRAL_7B | SHORT,
    "qwen2": models.QWEN2_0_5B | SHORT,
    "qwen3": models.QWEN3_8B | SHORT,
}
COUNTS = (
    "layers", "hidden", "embedding", "tied", "linear", "other", "block_linear", "block_other", "largest_linear",
)  # fmt: skip


def trial_of(config: Any, **settings: Any) -> tuple[TrainArguments, Trial]:
    recipe = RECIPE.model_copy(update=settings)
    return recipe, try_on(recipe, config)


def of_family(name: str, **changes: Any) -> Any:
    return AutoConfig.for_model(name, **FAMILIES[name] | changes)


@pytest.mark.parametrize("family", model_shape.DEFAULTS)
def test_it_agrees_with_the_formulas_of_the_families_that_have_them(family: str) -> None:
    recipe, trial = trial_of(AutoConfig.for_model(**DENSE[family]), max_length=2048)
    found, shape = measure(recipe, trial), model_shape.shape(DENSE[family])
    assert {name: getattr(found, name) for name in COUNTS} == {name: getattr(shape, name) for name in COUNTS}
    assert found.adapter == shape.lora_parameters(recipe.lora_r, recipe.target_modules)
    assert found.block_adapter == shape.block_lora_parameters(recipe.lora_r, recipe.target_modules)
    for changes in ({}, {"gradient_checkpointing": False}, {"load_in_4bit": False}, {"max_length": 500}):
        changed = recipe.model_copy(update=changes)
        for ranks in (1, 4):
            measured, formula = (
                {phase.name: phase.bytes for phase in memory.estimate(changed, one, ranks=ranks).phases}
                for one in (found, shape)
            )
            assert measured == {name: pytest.approx(size, rel=0.05) for name, size in formula.items()}


@pytest.mark.parametrize("family", OTHERS)
def test_real_tensors_take_what_was_measured_without(family: str) -> None:
    """At a length that was not measured, on a model with values."""
    recipe, trial = trial_of(of_family(family))
    found, length = measure(recipe, trial), 768
    assert from_dict(json.loads(json.dumps(dataclasses.asdict(found)))) == found
    taken = real_passes(family, recipe, trial, length)
    for part, growth in enumerate((found.kept_block, found.forward, found.backward)):
        most = max(sizes[part] for sizes in taken.values())
        assert 0.98 * most <= growth.bytes(SEQUENCES * length, length) <= 1.3 * most, (part, taken)


def real_passes(family: str, recipe: TrainArguments, trial: Trial, length: int) -> dict[str, Pass]:
    """The same count on a model that has values."""
    config = of_family(family)
    model = auto_class(config).from_config(config, attn_implementation=trial.fitted.attention)
    adapted = get_peft_model(model, lora_config(recipe, trial.fitted.places))
    base = base_of(adapted.to(torch.bfloat16)).train()
    found: dict[str, Pass] = {}
    results: dict[str, Any] = {}
    for block in base.get_submodule(measuring._blocks_at(trial.model)).children():
        block.forward = counted(block, block.forward, found, results)
    ids = torch.randint(0, 100, (SEQUENCES, length))
    padded = torch.ones_like(ids)
    padded[0, :5] = 0  # so that there is a mask
    with attention_kept_as_on_a_gpu(), torch.no_grad():
        base.get_decoder()(input_ids=ids, attention_mask=padded, use_cache=False)
    return found


@pytest.mark.parametrize("family", OTHERS)
def test_all_weights_are_counted_once(family: str) -> None:
    found = measure(*trial_of(of_family(family)))
    assert found.linear + found.other == skeleton(of_family(family), "eager", False).num_parameters()
    assert 0 < found.linear < found.other  # embeddings of a real vocabulary, and experts that stay as they are
    assert found.layers == 2 and 0 < found.block_adapter < found.adapter <= 2 * found.block_adapter
    assert all(growth.bytes(2, 2) > growth.bytes(0, 0) for growth in (found.kept, found.forward, found.backward))


def test_more_tokens_and_wider_experts_take_more() -> None:
    recipe, trial = trial_of(of_family("qwen3_moe"))
    narrow = measure(recipe, trial)
    wide = measure(*trial_of(of_family("qwen3_moe", moe_intermediate_size=480)))
    assert wide.kept_block.token > narrow.kept_block.token and wide.block_other > narrow.block_other

    def peak(found: Footprint, **changes: Any) -> int:
        return memory.estimate(recipe.model_copy(update=changes), found).peak.bytes

    assert peak(narrow) < peak(wide, max_length=4096) < peak(wide, max_length=4096, per_device_train_batch_size=4)


def test_code_that_asks_for_values_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, trial = trial_of(of_family("qwen3_moe"))
    block = type(next(iter(trial.model.get_submodule("model.layers").children())))
    monkeypatch.setattr(block, "forward", lambda self, hidden_states, **_: hidden_states * hidden_states.sum().item())
    with pytest.raises(CannotMeasure, match=r"^its code does not run without weights: "):
        measure(recipe, trial)


def test_the_command_prints_one_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_family("qwen3_moe").save_pretrained(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # which the command changes

    def told(**settings: Any) -> dict[str, Any]:
        monkeypatch.setattr("sys.stdin", io.StringIO(RECIPE.model_copy(update=settings).model_dump_json()))
        command.main(["--model", str(tmp_path / "config.json")])
        return dict(json.loads(capsys.readouterr().out))

    found = told(attn_implementation="flash_attention_2")  # which this machine need not have
    assert from_dict(found.pop("footprint")).layers == 2
    assert found.pop("shares")[1] == "its experts are 0% of the weights; adapters on 100% of them"
    assert found == {"unknown": None, "refused": None}
    refused = told(target_modules=["nowhere"])
    assert refused["footprint"] is None
    assert refused["refused"].startswith("target_modules: nowhere: the model has none of these modules; these would")
