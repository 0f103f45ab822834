"""What cannot be merged is refused with one message: what, where, how to mend it. Nothing is left behind."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

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
def refusal(merge, tmp_path) -> Callable[..., str]:
    """Run a merge that must fail cleanly, and return its message."""

    def call(base: Path | str, adapter: Path, *more: str, **variables: str) -> str:
        done = merge(base, adapter, *more, **variables)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        assert not (tmp_path / "out").exists()
        return done.stderr.removeprefix("error: ").removesuffix("\n")

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
        ({"use_dora": True}, "use_dora true"),
        ({"modules_to_save": ["lm_head"]}, 'modules_to_save ["lm_head"]'),
        ({"bias": "lora_only", "lora_bias": True}, 'bias "lora_only", lora_bias true'),
        ({"trainable_token_indices": [3]}, "trainable_token_indices [3]"),
        ({"target_parameters": ["experts.up"]}, 'target_parameters ["experts.up"]'),
        ({"fan_in_fan_out": True}, "fan_in_fan_out true"),
        ({"layer_replication": [[0, 2]]}, "layer_replication [[0, 2]]"),
        ({"init_lora_weights": "pissa"}, 'init_lora_weights "pissa"'),
        ({"of_a_later_peft": {"x": 1}}, 'of_a_later_peft {"x": 1}'),
    ],
)
def test_a_feature_that_is_not_supported_is_refused_by_name(base, adapter, refusal, settings, named) -> None:
    path = adapter / "adapter_config.json"
    edit_json(path, **settings)
    assert refusal(base, adapter) == f"{path}: not supported by the merge: {named}; {INSTEAD}"


def test_all_settings_that_plain_lora_leaves_in_the_config_are_known() -> None:
    from steps.merge.adapter import _is_plain

    config = LoraConfig(r=4, target_modules=["q_proj"]).to_dict()
    assert [key for key, value in config.items() if not _is_plain(key, value)] == []


def test_another_kind_of_adapter_is_refused_by_name(base, adapter, refusal) -> None:
    path = adapter / "adapter_config.json"
    edit_json(path, peft_type="IA3")
    assert refusal(base, adapter) == f"{path}: peft_type IA3 is not supported, only LORA; {INSTEAD}"


def test_adapter_tensors_that_the_merge_would_not_use_are_refused(base, adapter, refusal) -> None:
    path = adapter / "adapter_model.safetensors"
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    edit_tensors(path, lambda tensors: tensors.update({f"{module}.lora_magnitude_vector": torch.ones(32)}))
    assert refusal(base, adapter) == (
        f"{path}: not supported by the merge: tensors that are not LoRA matrices of linear layers "
        f"(1, first {module}.lora_magnitude_vector); {INSTEAD}"
    )
    edit_tensors(path, lambda t: (t.pop(f"{module}.lora_magnitude_vector"), t.pop(f"{module}.lora_B.weight")))
    assert refusal(base, adapter) == (
        f"{path}: model.layers.0.self_attn.q_proj has lora_A but no lora_B; the file is not whole: copy it again"
    )


def test_an_embedding_adapter_is_refused(make_adapter, base, refusal) -> None:
    adapter = make_adapter(base, target_modules=["embed_tokens"])
    assert refusal(base, adapter) == (
        f"{adapter}/adapter_model.safetensors: not supported by the merge: tensors that are not LoRA matrices of "
        f"linear layers (2, first base_model.model.model.embed_tokens.lora_embedding_A); {INSTEAD}"
    )


def test_an_update_of_a_tied_lm_head_is_refused(make_base, make_adapter, refusal) -> None:
    adapter = make_adapter(make_base("untied"), target_modules=["lm_head"])
    tied = make_base("tied", tie_word_embeddings=True)
    assert refusal(tied, adapter) == (
        f"{adapter}: not supported by the merge: an update of lm_head, which {tied} ties to its embeddings; "
        "train without lm_head among target_modules, or register the adapter without merging"
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
        f"{adapter}: 7 of 21 adapted weights are not in {base}, first model.layers.2.mlp.down_proj.weight; "
        f"the adapter was trained on another base ({deeper}): give that one"
    )
    wider = make_base("wider", intermediate_size=64)
    assert refusal(wider, make_adapter(base)) == (
        f"{adapter}: model.layers.0.mlp.down_proj.weight: the adapter fits a weight of [32, 48], in {wider} it is "
        f"[32, 64]; the adapter was trained on another base ({base}): give that one"
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


def test_a_base_that_is_nowhere_is_refused(adapter, refusal, tmp_path) -> None:
    assert refusal(tmp_path / "none", adapter) == (
        f"{tmp_path}/none: there is no such folder; --base must name a model folder or a hub model"
    )
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    message = refusal("org/none", adapter, "--revision", "v2", **hub)
    assert message.startswith("org/none (revision v2): no such folder, and the hub did not give it: Cannot find ")
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


@pytest.mark.parametrize("culprit", ["base", "adapter", "sum"])
def test_nan_and_infinity_are_never_written(make_base, make_adapter, merge, tmp_path, culprit) -> None:
    base = make_base(dtype=torch.float16)
    adapter = make_adapter(base)
    name = "model.layers.0.self_attn.q_proj"
    files = {"base": base / "model.safetensors", "adapter": adapter / "adapter_model.safetensors"}
    broken = {
        "base": ("base", f"{name}.weight", float("nan")),
        "adapter": ("adapter", f"base_model.model.{name}.lora_A.weight", float("inf")),
        "sum": ("adapter", f"base_model.model.{name}.lora_A.weight", 1e7),
    }
    which, tensor, value = broken[culprit]
    edit_tensors(files[which], lambda tensors: tensors[tensor].fill_(value))
    gives, again = "merging gives NaN or infinity: ", "; train again with a lower learning_rate"
    said = {
        "base": "holds NaN or infinity already in the base; copy or download the base again",
        "adapter": f"{gives}its adapter matrices hold them{again}",
        "sum": f"{gives}the sum is too large for torch.float16{again}",
    }
    done = merge(base, adapter)
    assert (done.returncode, done.stderr) == (1, f"error: {files['base']}: {name}.weight: {said[culprit]}\n")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_without_room_is_found_before_writing(base, adapter, merge, tmp_path) -> None:
    size = shutil.disk_usage(tmp_path).free + 2**30
    header = json.dumps({"huge": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    shard = base / "huge.safetensors"
    with open(shard, "wb") as file:  # sparse: it takes no room
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    index = base / "model.safetensors.index.json"
    edit_json(index, weight_map=json.loads(index.read_text())["weight_map"] | {"huge": shard.name})
    done = merge(base, adapter)
    said = (
        rf"error: {tmp_path}/out: the merged model needs (\d+\.\d\d) GB, (\d+\.\d\d) GB are free there; "
        r"make room or give another --output \(in a pipeline: a larger volume_gb for the merge\)\n"
    )
    needs, free = map(float, re.fullmatch(said, done.stderr).groups())
    assert needs == pytest.approx(size / 1e9, abs=0.01) and free < needs
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(base, adapter, tmp_path) -> None:
    limit = min(path.stat().st_size for path in base.glob("*.safetensors")) - 1

    def cap_files() -> None:  # the kernel refuses to let a file grow further, as a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = ["--base", base, "--adapter", adapter, "--output", tmp_path / "out"]
    command = [sys.executable, "-m", "steps.merge", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=cap_files)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/out: writing the merged model failed (")
    assert done.stderr.endswith("; mend that and run again\n") and "File too large" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_that_holds_something_is_not_touched(base, adapter, merge, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    said = f"error: {out}: is not empty: it holds notes.txt; give another --output, or empty it first\n"
    assert merge(base, adapter).stderr == said
    (out / ".incomplete").mkdir()
    assert merge(base, adapter).stderr == said
    assert sorted(path.name for path in out.iterdir()) == [".incomplete", "notes.txt"]
    done = merge(base, adapter, output=out / "notes.txt")
    assert done.stderr == f"error: {out}/notes.txt: is not a folder; give another --output\n"


def test_a_killed_merge_leaves_nothing_that_looks_whole_and_a_rerun_succeeds(
    make_base, make_adapter, merge, tmp_path
) -> None:
    base = make_base(max_shard_size="20MB", vocab_size=100_000, hidden_size=128)  # two large shards, then small ones
    adapter = make_adapter(base)
    out = tmp_path / "out"
    out.mkdir()  # as SageMaker does
    words = ["--base", base, "--adapter", adapter, "--output", out]
    process = subprocess.Popen([sys.executable, "-m", "steps.merge", *map(str, words)])
    while not list(out.glob(".incomplete/*.safetensors")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in out.iterdir()] == [".incomplete"]
    assert not (out / ".incomplete" / "manifest.json").exists()
    done = merge(base, adapter)
    assert (done.returncode, done.stderr) == (0, "")
    names = {path.name for path in base.iterdir()} | {"manifest.json"}
    assert {path.name for path in out.iterdir()} == names

    # Killed while it moved the files up: configuration and manifest were still to come.
    (out / ".incomplete").mkdir()
    for name in ("config.json", "manifest.json"):
        (out / name).rename(out / ".incomplete" / name)
    done = merge(base, adapter)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in out.iterdir()} == names
    assert "is not empty: it holds" in merge(base, adapter).stderr
