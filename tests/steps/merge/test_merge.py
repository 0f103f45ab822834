"""The merged folder is complete, loads, and says where it came from."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from steps.merge.__main__ import main

SHARDED = {"max_shard_size": "12KB"}


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
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (adapter / name).read_bytes() and (adapter / name).is_file()
    assert (out / "chat_template.jinja").read_text() == "trained with"
    modes = {path.stat().st_mode & 0o777 for path in out.iterdir()}
    assert modes == {0o644}, modes

    manifest = json.loads((out / "manifest.json").read_text())
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir() if p.name != "manifest.json"}
    digests = {
        key: hashlib.sha256((adapter / name).read_bytes()).hexdigest()
        for key, name in (("weights_sha256", "adapter_model.safetensors"), ("config_sha256", "adapter_config.json"))
    }
    assert manifest == {
        "base": {"name": str(base), "revision": None, "as_trained": None},
        "adapter": digests | {"trained_on": str(base)},
        "chat_template": {},
        "merged_tensors": 14,
        "files": files,
        "sizes": {name: (out / name).stat().st_size for name in files},
        "logits": {"skipped": "--check-logits never"},
    }


def test_the_merged_folder_loads_by_itself(make_base, make_adapter, merge, tmp_path) -> None:
    base = make_base(**SHARDED)
    done = merge(base, make_adapter(base), logits="auto")
    assert (done.returncode, done.stderr) == (0, "")
    said = r"logits of the merged model differ from base \+ adapter by \S+ \(tolerance 0.04; .* by \S+\)\nmerged .*\n"
    assert re.fullmatch(said, done.stdout), done.stdout
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == "base"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").dtype == torch.bfloat16


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
    main(["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out"), "--check-logits", "never"])
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == "trained with"


def test_a_template_of_the_processor_alone_is_told_where_it_is_another_one(
    make_base, make_adapter, save_tokenizer, tmp_path, capsys
) -> None:
    base = make_base()
    adapter = make_adapter(base)
    save_tokenizer(adapter, "trained with")
    words = ["--base", str(base), "--adapter", str(adapter), "--check-logits", "never", "--output"]
    file = base / "processor_config.json"
    for text, told in (("trained with", False), ("another", True)):
        file.write_text(json.dumps({"chat_template": text}))
        main([*words, str(tmp_path / text)])
        said = f"note: {file} has a chat template of its own, other than the tokenizer's, which is trained with: vLLM"
        assert (said in capsys.readouterr().out) is told


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
    assert manifest["base"] == {"name": "org/tiny", "revision": commit, "as_trained": None}


def test_help_needs_no_torch(run) -> None:
    code = (
        "import sys, steps.merge.__main__; print([n for n in ('torch', 'safetensors', 'pipeline') if n in sys.modules])"
    )
    assert run("-c", code).stdout == "[]\n"
    assert "--adapter" in run("-m", "steps.merge", "--help").stdout
