"""What cannot be merged is refused with one message: what, where, how to fix it. Nothing is left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.merge.__main__ import main
from steps.shared.contract import StepError

INSTEAD = "register the adapter without merging, or merge with peft's merge_and_unload"
AGAIN = "copy or download the base again"
SHARDS = "12KB"


@pytest.fixture
def base(make_base) -> Path:
    return make_base(max_shard_size=SHARDS)


@pytest.fixture
def adapter(make_adapter, base) -> Path:
    return make_adapter(base)


@pytest.fixture
def refusal(tmp_path) -> Callable[..., str]:
    """Ask for a merge that must fail before anything is written, and return its message."""

    def call(base: Path | str, adapter: Path, *more: str) -> str:
        words = ("--base", base, "--adapter", adapter, "--output", tmp_path / "out", "--check-logits", "never", *more)
        with pytest.raises(StepError) as refused:
            main([*map(str, words)])
        assert not (tmp_path / "out").exists()
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return call


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(path: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"trainable_token_indices": [3]}, "trainable_token_indices [3]"),
        ({"layer_replication": [[0, 2]]}, "layer_replication [[0, 2]]"),
        ({"use_bdlora": {"nblocks": 2}, "arrow_config": {}}, 'use_bdlora {"nblocks": 2}'),
        ({"of_a_later_peft": {"x": 1}}, 'of_a_later_peft {"x": 1}'),
    ],
)
def test_a_feature_that_is_not_supported_is_refused_by_name(base, adapter, refusal, settings, named) -> None:
    path = adapter / "adapter_config.json"
    edit_json(path, **settings)
    assert refusal(base, adapter) == f"{path}: not supported by the merge: {named}; {INSTEAD}"


def test_matrices_of_an_altered_base_are_refused_with_the_way_to_a_plain_adapter(base, adapter, refusal) -> None:
    path = adapter / "adapter_config.json"
    edit_json(path, init_lora_weights="pissa")
    assert refusal(base, adapter) == (
        f'{path}: not supported by the merge: init_lora_weights "pissa"; its matrices belong to an altered base; of '
        "PiSSA, OLoRA and CorDA peft's save_pretrained(path_initial_model_for_weight_conversion=…) makes a plain "
        f"adapter, or {INSTEAD}"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"r": "4"}, "r, lora_alpha and their patterns must be numbers"),
        ({"rank_pattern": {"q_proj": 0}}, "r and the ranks of rank_pattern must be above 0"),
        ({"alpha_pattern": [4]}, "rank_pattern and alpha_pattern must be objects"),
        ({"target_parameters": [{}]}, "target_parameters must be a list of names"),
    ],
)
def test_a_setting_of_another_type_is_refused(base, adapter, refusal, changes, said) -> None:
    path = adapter / "adapter_config.json"
    edit_json(path, **changes)
    assert refusal(base, adapter) == f"{path}: {said}; save the adapter again with peft"


def test_another_kind_of_adapter_is_refused_by_name(base, adapter, refusal) -> None:
    path = adapter / "adapter_config.json"
    edit_json(path, peft_type="IA3")
    assert refusal(base, adapter) == f"{path}: peft_type IA3 is not supported, only LORA; {INSTEAD}"


def test_adapter_tensors_that_the_merge_would_not_use_are_refused(base, adapter, refusal) -> None:
    path = adapter / "adapter_model.safetensors"
    module = "model.layers.0.self_attn.q_proj"
    own = f"base_model.model.{module}"
    edit_tensors(path, lambda tensors: tensors.update({f"{own}.lora_magnitude_vector": torch.ones(32)}))
    assert refusal(base, adapter) == (
        f"{path}: {module} has a lora_magnitude_vector, but adapter_config.json says use_dora false; the two files are "
        "not of one adapter: copy both again"
    )
    edit_tensors(path, lambda t: (t.pop(f"{own}.lora_magnitude_vector"), t.pop(f"{own}.lora_B.weight")))
    assert refusal(base, adapter) == (
        f"{path}: {module} has lora_A.weight but no lora_B; the file is not whole: copy it again"
    )
    edit_tensors(path, lambda t: t.update({f"{own}.lora_B.weight": torch.ones(32, 4, 3, 3)}))
    assert refusal(base, adapter) == (
        f"{path}: {module}: not supported by the merge: LoRA matrices of 2 and 4 dimensions, as of convolutions; "
        f"{INSTEAD}"
    )
    edit_tensors(path, lambda t: t.update({f"{own}.lora_diagonal": torch.ones(4)}))
    assert refusal(base, adapter) == (
        f"{path}: not supported by the merge: {own}.lora_diagonal, which is neither a LoRA matrix of a linear layer, "
        f"an embedding or a parameter, nor a tensor of the model; {INSTEAD}"
    )


def test_what_the_config_promises_must_be_in_the_file(base, adapter, refusal) -> None:
    edit_json(adapter / "adapter_config.json", modules_to_save=["lm_head"])
    assert refusal(base, adapter) == (
        f"{adapter}/adapter_model.safetensors: holds nothing of lm_head, which modules_to_save names; "
        "copy the adapter again"
    )
    edit_json(adapter / "adapter_config.json", modules_to_save=None, use_dora=True)
    assert refusal(base, adapter) == (
        f"{adapter}/adapter_model.safetensors: model.layers.0.mlp.down_proj has no lora_magnitude_vector, but "
        "adapter_config.json says use_dora true; the two files are not of one adapter: copy both again"
    )


def test_a_bias_that_the_base_has_not_is_refused(make_adapter, base, refusal) -> None:
    adapter = make_adapter(base, target_modules=["o_proj"], lora_bias=True)
    module = "model.layers.0.self_attn.o_proj"
    assert refusal(base, adapter) == (
        f"{adapter}: not supported by the merge: lora_bias true for {module}, which has no bias in {base}; {INSTEAD}"
    )


def test_a_square_weight_of_unknown_order_is_refused(make_adapter, base, refusal) -> None:
    adapter = make_adapter(base, target_modules=["q_proj"])
    edit_json(adapter / "adapter_config.json", fan_in_fan_out=True)
    assert refusal(base, adapter) == (
        f"{adapter}: not supported by the merge: fan_in_fan_out true for model.layers.0.self_attn.q_proj, "
        f"a square weight of a qwen2 model; {INSTEAD}"
    )


def test_parameters_that_are_not_in_the_base_are_refused(base, adapter, refusal) -> None:
    edit_json(adapter / "adapter_config.json", target_parameters=["mlp.gate_proj.scales"])
    assert refusal(base, adapter) == (
        f"{adapter}: model.layers.0.mlp.gate_proj: 1 of its parameters are adapted, 0 of target_parameters are there; "
        f"the adapter was trained on another base than {base} ({base}): give that one"
    )


def test_an_update_of_tied_layers_is_refused(make_base, make_adapter, refusal) -> None:
    """peft's merge of these is not the model that was trained: both layers move with one."""
    tied = make_base("tied", tie_word_embeddings=True)
    for name, layer in (("lm_head", "lm_head"), ("embed_tokens", "model.embed_tokens")):
        adapter = make_adapter(make_base("untied"), name, target_modules=[name])
        assert refusal(tied, adapter) == (
            f"{adapter}: not supported by the merge: an update of {layer}, where {tied} ties embeddings and head; "
            "train without it, or register the adapter without merging"
        )
    adapter = make_adapter(tied, "saved", modules_to_save=["lm_head"])
    assert refusal(tied, adapter) == (
        f"{adapter}: not supported by the merge: a trained copy of lm_head.weight, where {tied} ties embeddings and "
        "head; train both with ensure_weight_tying, or register the adapter without merging"
    )


def test_a_config_of_another_adapter_is_found_by_its_rank(base, adapter, refusal) -> None:
    edit_json(adapter / "adapter_config.json", r=8)
    assert refusal(base, adapter) == (
        f"{adapter}/adapter_config.json: says rank 8 for model.layers.0.mlp.down_proj, its matrices in "
        "adapter_model.safetensors have 4; the two files are not of one adapter: copy both again"
    )


def test_an_adapter_of_another_base_is_refused(make_base, make_adapter, refusal) -> None:
    base = make_base()
    deeper = make_base("deeper", num_hidden_layers=3)
    adapter = make_adapter(deeper)
    assert refusal(base, adapter) == (
        f"{adapter}: 7 of 21 adapted weights are not there, first model.layers.2.mlp.down_proj.weight; "
        f"the adapter was trained on another base than {base} ({deeper}): give that one"
    )
    wider = make_base("wider", intermediate_size=64)
    assert refusal(wider, make_adapter(base)) == (
        f"{adapter}: model.layers.0.mlp.down_proj.weight: the adapter fits a weight of [32, 48], in the base it is "
        f"[32, 64]; the adapter was trained on another base than {wider} ({base}): give that one"
    )


def test_a_quantised_base_is_refused(base, adapter, refusal) -> None:
    edit_json(base / "config.json", quantization_config={"quant_method": "fp8"})
    assert refusal(base, adapter) == (
        f"{base}/config.json: has a quantization_config; give the original weights as --base"
    )


def test_a_base_that_is_not_whole_is_refused(base, adapter, refusal) -> None:
    shards = sorted(base.glob("*.safetensors"))
    last = shards[-1].read_bytes()
    shards[-1].write_bytes(last[:-10])
    assert refusal(base, adapter) == (
        f"{shards[-1]}: is not a whole safetensors file (Error while deserializing header: "
        "incomplete metadata, file not fully covered); copy or download it again"
    )
    shards[-1].unlink()
    assert refusal(base, adapter) == (
        f"{base}: 1 of {len(shards)} shards are missing, first {shards[-1].name}; {AGAIN}"
    )
    shards[-1].write_bytes(shards[0].read_bytes())
    places = json.loads((base / "model.safetensors.index.json").read_text())["weight_map"]
    lost = next(name for name, shard in places.items() if shard == shards[-1].name)
    assert refusal(base, adapter) == (
        f"{base}/model.safetensors.index.json: places {lost} in {shards[-1].name}, which does not hold it; {AGAIN}"
    )
    (base / "model.safetensors.index.json").unlink()
    assert refusal(base, adapter) == (
        f"{base}: no weights: neither model.safetensors nor model.safetensors.index.json is there; {AGAIN}"
    )
    (base / "config.json").unlink()
    assert refusal(base, adapter) == (
        f"{base}: not a model folder: config.json is missing; --base must name the whole base model"
    )


def test_an_index_cannot_reach_outside_its_folder(base, adapter, refusal) -> None:
    index = base / "model.safetensors.index.json"
    edit_json(index, weight_map={"a": "../a.safetensors"})
    assert refusal(base, adapter) == f"{index}: names ../a.safetensors, which is not a file beside it; {AGAIN}"


def test_an_adapter_that_is_not_whole_is_refused(base, adapter, refusal) -> None:
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert refusal(base, adapter) == (
        f"{path}: is not a whole safetensors file (Error while deserializing header: header too large); "
        "copy or download it again"
    )
    save_file({}, path)
    assert refusal(base, adapter) == (
        f"{path}: is empty: it holds no tensors; train again, and check what training wrote"
    )
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (adapter / name).unlink()
        assert refusal(base, adapter) == (
            f"{adapter}: not an adapter: {name} is missing; give the folder that training wrote"
        )
    shutil.rmtree(adapter)
    assert refusal(base, adapter) == (
        f"{adapter}: there is no such folder; --adapter must name the folder that training wrote"
    )


def test_a_base_that_is_nowhere_is_refused(adapter, refusal, merge, tmp_path) -> None:
    assert refusal(tmp_path / "none", adapter) == (
        f"{tmp_path}/none: there is no such folder; --base must name a model folder or a hub model"
    )
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = merge("org/none", adapter, "--revision", "v2", **hub)
    message = done.stderr.removesuffix("\n")
    assert message.startswith(
        "error: org/none (revision v2): no such folder, and the hub did not give it: Cannot find "
    )
    assert message.endswith(" Check the name and the network; a gated model needs HF_TOKEN")


def test_a_model_without_a_tokenizer_is_refused(make_base, make_adapter, refusal) -> None:
    base = make_base(tokenizer=False)
    adapter = make_adapter(base)
    assert refusal(base, adapter) == (
        f"{base}: no tokenizer there or in {adapter}: tokenizer.json is missing; save the tokenizer beside the base"
    )


def test_the_failure_reaches_sagemaker(base, adapter, merge, tmp_path) -> None:
    (tmp_path / "ml").mkdir()
    (base / "config.json").unlink()
    done = merge(base, adapter, OPT_ML=str(tmp_path / "ml"))
    assert done.stderr == f"error: {(tmp_path / 'ml' / 'output' / 'message').read_text()}\n"
