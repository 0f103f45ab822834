"""Families of models through Train, Merge, loading and answering: tiny random ones of their own classes.

Five are in `make test`; all are in `make test-slow`, whose results are the table in steps/train/README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from steps.shared.model_class import auto_class
from tests.families import FAMILIES, save_family
from tests.forks.client import Forked
from tests.steps.train.conftest import ONE_THREAD, training

if TYPE_CHECKING:
    import torch

ALWAYS = ("llama", "mistral3", "qwen3_moe", "mixtral", "deepseek_v3")
# What some families do not train without.
WITHOUT = {"router_aux_loss_coef": 0}
NO_ROUTER_LOSS = dict.fromkeys(("granitemoe", "granitemoehybrid", "phimoe"), WITHOUT)  # which TRL cannot compute
SHORT = {
    "fsdp": "false", "max_steps": 4, "save_steps": 9, "logging_steps": 1, "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
}  # fmt: skip
ONE_CLASS = {"transformer_layer_cls_to_wrap": ["Gemma3DecoderLayer"]}
OTHERS = [pytest.param(name, marks=pytest.mark.families) for name in FAMILIES if name not in ALWAYS]


@pytest.mark.slow
@pytest.mark.parametrize("family", [*ALWAYS, *OTHERS])
def test_a_family_trains_merges_to_pefts_bits_and_answers(
    fork: Callable[..., Forked], tiny_model: Path, pairs: Path, tmp_path: Path, family: str
) -> None:
    def succeed(*words: str | Path) -> None:
        done = fork(*words, **ONE_THREAD).completed()
        assert done.returncode == 0, done.stdout + done.stderr

    base, tuned, merged = tmp_path / "base", tmp_path / "tuned", tmp_path / "merged"
    save_family(family, base, tiny_model)
    processor = base / "preprocessor_config.json"
    processor.write_text('{"size": 56}\n')
    succeed(*training(base, pairs, tuned, **SHORT | NO_ROUTER_LOSS.get(family, {})))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tuned / name).read_bytes() == (base / name).read_bytes()
    succeed("-m", "steps.merge", "--base", base, "--adapter", tuned, "--output", merged)
    compare_with_peft(base, tuned, merged)
    for name in ("config.json", processor.name):
        assert (merged / name).read_bytes() == (base / name).read_bytes()
    for what in (("--adapter", tuned, "--base", base), ("--model", merged)):
        succeed("-m", "steps.answer", *what, "--prompt", "hi", "--max-new-tokens", "2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "named"),
    [
        ("qwen3_5_text", {}),
        pytest.param("gemma4", {}, marks=pytest.mark.families),
        pytest.param("qwen3_5", {}, marks=pytest.mark.families),
        pytest.param("gemma3", {"fsdp_config": json.dumps(ONE_CLASS)}, marks=pytest.mark.families),
    ],
)
def test_a_family_whose_class_names_blocks_that_its_models_lack_trains_on_two_processes(
    fork: Callable[..., Forked], tiny_model: Path, pairs: Path, tmp_path: Path, family: str, named: dict[str, object]
) -> None:
    base = save_family(family, tmp_path / "base", tiny_model)
    short = {"max_steps": 2, "save_steps": 2, "gradient_accumulation_steps": 1} | named
    done = fork(*training(base, pairs, tmp_path / "tuned", **short), ranks=2, **ONE_THREAD).completed()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"FSDP2: [\d,]+ of [\d,]+ parameter bytes on each of 2 ranks", done.stdout)
    assert "on the longest pair, packed is" in done.stdout
    assert (tmp_path / "tuned" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.families
def test_the_adapter_of_a_multimodal_model_is_continued_and_compared(
    fork: Callable[..., Forked], tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    base = save_family("mistral3", tmp_path / "base", tiny_model)
    first, second = tmp_path / "first", tmp_path / "second"
    again, told = {"initial_adapter": first, "champion": first}, []
    for folder, more in ((first, {}), (second, again)):
        done = fork(*training(base, pairs, folder, **SHORT, **more), **ONE_THREAD).completed()
        assert done.returncode == 0, done.stdout + done.stderr
        told.append(json.loads((folder / "evaluation.json").read_text()))
        (folder / "evaluation.json").unlink()  # from which the champion's figures would be taken
    assert told[1]["champion"]["champion"]["loss"] == pytest.approx(told[0]["after"]["loss"], abs=1e-4)


def compare_with_peft(base: Path, adapter: Path, merged: Path) -> None:
    """The merged model, once loaded, has the weights that peft's own merge gives, and others than the base; what sees
    and hears in it is the base's, and its files have the base's names."""
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoConfig

    def load(folder: Path) -> torch.nn.Module:
        return auto_class(AutoConfig.from_pretrained(folder)).from_pretrained(folder, dtype="auto")

    before, after = load(base).state_dict(), load(merged).state_dict()
    expected = PeftModel.from_pretrained(load(base), adapter).merge_and_unload().state_dict()
    assert after.keys() == expected.keys()
    assert [name for name in after if not same(after[name], expected[name])] == []
    changed = [name for name in after if not after[name].equal(before[name])]
    assert len(changed) >= 2 and not [name for name in changed if "vision" in name or "visual" in name]
    stored, files = (load_file(folder / "model.safetensors") for folder in (base, merged))
    assert stored.keys() == files.keys()
    assert sum(not stored[name].equal(files[name]) for name in stored) >= 2


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit by bit; of a router that the model takes in float32 (ERNIE), to which peft adds without rounding, within one
    step of the file's bfloat16."""
    import torch

    if one.dtype == torch.float32 and one.bfloat16().float().equal(one) and not other.bfloat16().float().equal(other):
        return torch.allclose(one, other, rtol=2**-7, atol=2**-9 * float(other.abs().max()))
    return one.to(torch.bfloat16).equal(other.to(torch.bfloat16))
