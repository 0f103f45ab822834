"""Families of models through Train, Merge, loading and answering: tiny random ones of their own classes.

Five are in `make test`; all are in `make test-slow`, whose results are the table in steps/train/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.families import FAMILIES, save_family
from tests.forks.client import Forked
from tests.steps.train.conftest import ONE_THREAD, training

if TYPE_CHECKING:
    import torch

ALWAYS = ("llama", "gemma2", "qwen3_moe", "mixtral", "deepseek_v3")
WITHOUT = {"router_aux_loss_coef": 0}
NO_ROUTER_LOSS = dict.fromkeys(("granitemoe", "granitemoehybrid", "phimoe"), WITHOUT)  # which TRL cannot compute
SHORT = {
    "fsdp": "false", "max_steps": 4, "save_steps": 9, "logging_steps": 1, "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
}  # fmt: skip
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
    succeed(*training(base, pairs, tuned, **SHORT | NO_ROUTER_LOSS.get(family, {})))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tuned / name).read_bytes() == (base / name).read_bytes()
    succeed("-m", "steps.merge", "--base", base, "--adapter", tuned, "--output", merged)
    compare_with_peft(base, tuned, merged)
    for what in (("--adapter", tuned, "--base", base), ("--model", merged)):
        succeed("-m", "steps.answer", *what, "--prompt", "hi", "--max-new-tokens", "2")


def compare_with_peft(base: Path, adapter: Path, merged: Path) -> None:
    """The merged model, once loaded, has the weights that peft's own merge gives, and others than the base."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load(folder: Path) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")

    before, after = load(base).state_dict(), load(merged).state_dict()
    expected = PeftModel.from_pretrained(load(base), adapter).merge_and_unload().state_dict()
    assert after.keys() == expected.keys()
    assert [name for name in after if not same(after[name], expected[name])] == []
    assert sum(not after[name].equal(before[name]) for name in after) >= 2


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit by bit; of a router that the model takes in float32 (ERNIE), to which peft adds without rounding, within one
    step of the file's bfloat16."""
    import torch

    if one.dtype == torch.float32 and one.bfloat16().float().equal(one) and not other.bfloat16().float().equal(other):
        return torch.allclose(one, other, rtol=2**-7, atol=2**-9 * float(other.abs().max()))
    return one.to(torch.bfloat16).equal(other.to(torch.bfloat16))
