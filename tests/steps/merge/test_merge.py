"""The merge gives bitwise what peft gives, in a folder that is complete and says where it came from."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from steps.merge.__main__ import main

SHARDED = {"max_shard_size": "12KB"}
RANKS = {"rank_pattern": {"q_proj": 2, r".*layers\.1\.mlp\..*": 6}, "alpha_pattern": {"v_proj": 3}}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def merged_by_peft(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), adapter)
    return model.merge_and_unload().state_dict()


def assert_same_bits(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    for name, tensor in weights(folder).items():
        assert tensor.dtype == expected[name].dtype, name
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize(
    ("dtype", "model", "lora"),
    [
        pytest.param(torch.bfloat16, {}, {}, id="bf16"),
        pytest.param(torch.float32, {}, {}, id="fp32"),
        pytest.param(torch.float16, SHARDED, {}, id="fp16-sharded"),
        pytest.param(torch.bfloat16, SHARDED, {}, id="bf16-sharded"),
        pytest.param(torch.float32, SHARDED | {"tie_word_embeddings": True}, {}, id="fp32-sharded-tied"),
        pytest.param(torch.bfloat16, {"tie_word_embeddings": True}, {}, id="bf16-tied"),
        pytest.param(torch.bfloat16, {}, {"target_modules": ["q_proj", "lm_head"]}, id="lm_head"),
        pytest.param(torch.bfloat16, {}, RANKS, id="patterns"),
        pytest.param(torch.bfloat16, {}, {"use_rslora": True}, id="rslora"),
        pytest.param(torch.float32, SHARDED, RANKS | {"use_rslora": True}, id="rslora-patterns"),
    ],
)
def test_the_weights_are_bitwise_those_of_peft(make_base, make_adapter, tmp_path, dtype, model, lora) -> None:
    base = make_base(dtype=dtype, **model)
    adapter = make_adapter(base, **lora)
    main(["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")])
    before, after, expected = weights(base), weights(tmp_path / "out"), merged_by_peft(base, adapter)
    assert after.keys() == before.keys() and ("lm_head.weight" in after) != ("tie_word_embeddings" in model)
    assert_same_bits(tmp_path / "out", expected)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    modules = lora.get("target_modules", ["proj"])
    assert changed == {name for name in after if any(f"{part}.weight" in name for part in modules)}


def test_an_adapter_in_bf16_merges_as_peft_does(make_base, make_adapter, tmp_path) -> None:
    base = make_base()
    adapter = make_adapter(base)
    file = adapter / "adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file)
    main(["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")])
    assert_same_bits(tmp_path / "out", merged_by_peft(base, adapter))


def test_the_folder_is_the_bases_with_the_adapters_tokenizer(
    make_base, make_adapter, save_tokenizer, merge, tmp_path
) -> None:
    base = make_base(**SHARDED)
    adapter = make_adapter(base)
    save_tokenizer(adapter, "trained with")
    done = merge(base, adapter)
    assert (done.returncode, done.stderr) == (0, "")
    out = tmp_path / "out"
    shards = sorted(path.name for path in base.glob("*.safetensors"))
    assert len(shards) > 2
    assert re.fullmatch(
        rf"merged 14 of 27 tensors into {out}: {len(shards)} weight file\(s\), 0\.0 MB in \d+\.\d s \(\d+ MB/s\)\n",
        done.stdout,
    )
    assert {path.name for path in out.iterdir()} == {path.name for path in base.iterdir()} | {"manifest.json"}
    for name in ("config.json", "generation_config.json", "model.safetensors.index.json"):
        assert (out / name).read_bytes() == (base / name).read_bytes()
    assert (out / "chat_template.jinja").read_text() == "trained with"
    modes = {path.stat().st_mode & 0o777 for path in out.iterdir()}
    assert modes == {0o644}, modes

    manifest = json.loads((out / "manifest.json").read_text())
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir() if p.name != "manifest.json"}
    digest = hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
    assert manifest == {
        "base": {"name": str(base), "revision": None},
        "adapter": {"weights_sha256": digest, "trained_on": str(base)},
        "merged_tensors": 14,
        "files": files,
    }


def test_the_merged_folder_loads_and_answers_as_base_and_adapter_do(make_base, make_adapter, merge, tmp_path) -> None:
    base = make_base(dtype=torch.float32, **SHARDED)
    adapter = make_adapter(base)
    assert merge(base, adapter).returncode == 0
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == "base"
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        untrained = plain(tokens).logits
        expected = PeftModel.from_pretrained(plain, adapter)(tokens).logits
        assert torch.allclose(merged(tokens).logits, expected, atol=1e-5)
        assert not torch.allclose(expected, untrained, atol=1e-3)


@pytest.mark.parametrize("inline", [True, False])
def test_a_template_of_the_base_never_covers_the_adapters(
    make_base, make_adapter, save_tokenizer, tmp_path, inline
) -> None:
    base = make_base()
    adapter = make_adapter(base)
    save_tokenizer(adapter, "trained with")
    if inline:  # as older versions of transformers save it
        config = json.loads((adapter / "tokenizer_config.json").read_text())
        (adapter / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": "trained with"}))
        (adapter / "chat_template.jinja").unlink()
    main(["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")])
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == "trained with"


def test_a_hub_model_is_recorded_with_its_commit(make_base, make_adapter, merge, tmp_path) -> None:
    base, commit = make_base(), "a" * 40
    cached = tmp_path / "hf" / "hub" / "models--org--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "v1").write_text(commit)
    shutil.copytree(base, cached / "snapshots" / commit)
    variables = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = merge("org/tiny", make_adapter(base), "--revision", "v1", **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fetching org/tiny from the hub\n")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["base"] == {"name": "org/tiny", "revision": commit}


def test_help_needs_no_torch(run) -> None:
    code = (
        "import sys, steps.merge.__main__; print([n for n in ('torch', 'safetensors', 'pipeline') if n in sys.modules])"
    )
    assert run("-c", code).stdout == "[]\n"
    assert "--adapter" in run("-m", "steps.merge", "--help").stdout
