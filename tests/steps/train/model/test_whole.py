"""A base whose files are not the whole model is refused with the real cause, before random weights are trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.shared.contract import StepError
from steps.shared.model_folder import check_folder
from steps.train.arguments import TrainArguments
from steps.train.model.load import load_base
from tests.families import save_family

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def base(tiny_model: Path, tmp_path: Path) -> Path:
    return save_family("llama", tmp_path / "base", tiny_model)


def refusal(base: Path) -> str:
    with pytest.raises(StepError) as caught:
        load_base(TrainArguments(model_id=str(base), load_in_4bit=False, bf16=False), "sdpa")
    return str(caught.value)


def change(base: Path, changed: Callable[[Tensors], Tensors]) -> None:
    save_file(changed(load_file(base / "model.safetensors")), base / "model.safetensors", metadata={"format": "pt"})


def configure(base: Path, **values: object) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | values))


def test_a_whole_base_is_loaded(base: Path) -> None:
    assert load_base(TrainArguments(model_id=str(base), load_in_4bit=False), "sdpa").config.model_type == "llama"


@pytest.mark.parametrize(("prefix", "wrapper"), [("_orig_mod.", "torch.compile"), ("_fsdp_wrapped_module.", "FSDP")])
def test_names_that_a_wrapper_wrote_are_told(base: Path, prefix: str, wrapper: str) -> None:
    change(base, lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()})
    message = refusal(base)
    assert message.startswith(f"{base}: its weights and its config.json do not fit: 21 tensors are missing, first lm_")
    assert message.endswith(
        f"21 are not of this model, first {prefix}lm_head.weight (written by {wrapper}); save the model inside the "
        "wrapper with save_pretrained"
    )


def test_half_the_layers_are_told_whichever_file_has_them(base: Path) -> None:
    change(base, lambda tensors: {name: tensor for name, tensor in tensors.items() if ".layers.1." not in name})
    assert "9 tensors are missing, first model.layers.1.input_layernorm.weight (of 1 of 2 layers); copy" in refusal(
        base
    )


def test_a_configuration_of_fewer_layers_than_the_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    base = save_family("llama", tmp_path / "deep", tiny_model, num_hidden_layers=4)
    configure(base, num_hidden_layers=2)
    assert refusal(base) == (
        f"{base}: its weights and its config.json do not fit: no tensor is missing; 18 are not of this model, first "
        "model.layers.2.input_layernorm.weight (config.json says 2 layers, the files have 4); correct "
        "num_hidden_layers, or take the config.json that belongs to the weights"
    )


def test_a_vocabulary_that_was_resized_is_told(base: Path) -> None:
    rows = load_file(base / "model.safetensors")["lm_head.weight"].shape[0]
    configure(base, vocab_size=rows + 8)
    message = refusal(base)
    assert f"2 tensors have other sizes, first lm_head.weight: [{rows}, 32] in the files, [{rows + 8}, 32]" in message
    assert "correct config.json (vocab_size after a resize of the embeddings)" in message


def test_what_stands_for_weights_and_is_none_is_told(base: Path) -> None:
    (base / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(StepError, match=r"model.safetensors: is a pointer of Git LFS, not the weights; run git lfs"):
        check_folder(base)
    (base / "model.safetensors").rename(base / "model.tar.gz")
    with pytest.raises(StepError, match=r"no weights: expected \*.safetensors; unpack model.tar.gz there"):
        check_folder(base)


@pytest.mark.parametrize("four_bits", [False, True])
def test_nan_in_the_base_is_told_by_the_weights_name(
    tiny_model: Path, pairs: Path, tmp_path: Path, four_bits: bool
) -> None:
    from steps.train.loop.first_step import check_packed
    from tests.steps.train.trainers import trainer_here

    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    broken = "model.layers.0.mlp.down_proj.weight"
    change(base, lambda tensors: tensors | {broken: tensors[broken].index_fill(0, torch.tensor([3]), float("nan"))})
    trainer = trainer_here(base, pairs, tmp_path / "checkpoints", 4, load_in_4bit=four_bits, lora_dropout=0)
    with pytest.raises(StepError) as caught:
        check_packed(trainer, 1e-4)
    first, _, rest = str(caught.value).partition(": the model gives row ")
    assert first == str(base)
    assert rest.endswith(
        f" a log-probability that is not finite: {broken} holds NaN or infinity; copy or download the model again"
    )


@pytest.mark.parametrize(
    ("name", "owner"),
    [("model.layers.0.self_attn.o_proj.bias", "a layer"), ("model.layers.1.self_attn.q_norm.weight", "a layer"),
     ("model.norm.bias", "the norm")],
)  # fmt: skip
def test_tensors_that_the_model_would_compute_without_are_refused(base: Path, name: str, owner: str) -> None:
    change(base, lambda tensors: tensors | {name: torch.ones(32)})
    assert refusal(base) == (
        f"{base}: its weights and its config.json do not fit: no tensor is missing; 1 are not of this model, first "
        f"{name} (the model would compute without them); take the config.json of these weights, or copy or download "
        "the model again, or save it again with save_pretrained"
    ), owner


BESIDE = (
    "mtp.layers.0.weight", "model.layers.2.norm.weight", "vision.tower.weight", "model.version",
    "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.cos_cached",
    "model.layers.0.self_attn.k_proj.k_scale", "model.layers.0.attn.causal_mask", "model.layers.0.attn.embed_positions",
)  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_whole_modules_beside_the_models_and_old_buffers_are_no_reason(base: Path, name: str) -> None:
    change(base, lambda tensors: tensors | {name: torch.ones(4)})
    load_base(TrainArguments(model_id=str(base), load_in_4bit=False, bf16=False), "sdpa")
