"""The check of logits sees a model that is not base + adapter, and says when it cannot look."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.merge import logits, weights
from steps.merge.__main__ import main
from steps.merge.fit.adapter import read_adapter
from steps.merge.fit.base import open_base
from steps.shared.contract import StepError


@pytest.fixture
def merged(make_base, make_adapter, tmp_path) -> tuple[Path, Path, Path]:
    base = make_base(num_hidden_layers=4)
    adapter = make_adapter(base)
    words = ["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")]
    main([*words, "--check-logits", "never"])
    return base, adapter, tmp_path / "out"


def check(base: Path, adapter: Path, folder: Path, when: logits.When) -> dict[str, object]:
    asked = logits.Check(when, "nothing judged it")
    return logits.check(open_base(str(base), None), read_adapter(adapter), folder, asked)


@pytest.mark.parametrize("wrong", ["base", "sign", "one weight"])
def test_a_model_that_is_not_base_and_adapter_is_refused(merged, wrong) -> None:
    base, _, folder = merged
    found = check(*merged, "always")
    assert found["difference"] < found["tolerance"] / 2 < found["adapter_effect"]
    before, after = load_file(base / "model.safetensors"), load_file(folder / "model.safetensors")
    if wrong == "one weight":
        after["model.layers.1.mlp.down_proj.weight"] *= -1
    else:
        times = 0 if wrong == "base" else -1
        after = {name: tensor + times * (after[name] - tensor) for name, tensor in before.items()}
    save_file(after, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        StepError, match=r"logits of the merged model differ from base \+ adapter by .* is not the trained"
    ):
        check(*merged, "auto")


@pytest.fixture
def mixture(make_mixture, tmp_path) -> tuple[Path, Path, Path]:
    """A base of Qwen3-MoE in bfloat16 in which rounding a weight sends tokens to other experts, and its merge."""
    base, adapter = make_mixture()
    words = ["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")]
    main([*words, "--check-logits", "never"])
    return base, adapter, tmp_path / "out"


def test_tokens_that_rounding_sends_to_other_experts_are_no_fault_of_the_merge(mixture, capsys) -> None:
    found = check(*mixture, "always")
    assert found["experts"] and found["difference"] < logits.TOLERANCES["BF16"] < found["largest"]
    said = capsys.readouterr().out
    assert said.startswith(f"all {found['weights']} weights of the merged model are those of peft's merge; its logits")


@pytest.mark.parametrize(
    ("wrong", "first"),
    [("scale", "0.mlp.experts.gate_up_proj"), ("layer", "3.self_attn.q_proj.weight"), ("expert", "2.mlp.experts")],
)
def test_a_wrong_merge_of_a_mixture_is_refused(mixture, wrong: str, first: str) -> None:
    base, _, folder = mixture
    before, after = load_file(base / "model.safetensors"), load_file(folder / "model.safetensors")
    for name, tensor in before.items():
        if wrong == "scale" and ".experts." in name:
            after[name] = (tensor + 1.5 * (after[name].float() - tensor)).to(torch.bfloat16)
        if (wrong == "layer" and ".layers.3." in name) or (wrong == "expert" and ".2.mlp.experts.5." in name):
            after[name] = tensor
    save_file(after, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        StepError, match=rf"weights are not those of peft's merge, first .*\.{first}.*is not the trained"
    ):
        check(*mixture, "auto")


def test_a_weight_in_another_dtype_or_shape_is_another() -> None:
    one = torch.linspace(-1, 1, 4000).bfloat16()
    rounded = one.clone()
    rounded[7] += 0.01
    assert weights.same(one, rounded) and not weights.same(one, one.float()) and not weights.same(one, one[:-1])
    rounded[:40] += 0.01
    assert not weights.same(one, rounded)
    assert weights.same(torch.arange(3), torch.arange(3)) and not weights.same(torch.arange(3), torch.zeros(3).long())
    exact = torch.linspace(-1, 1, 4000) / 3
    assert weights.same(exact, exact * (1 + 1e-6)) and not weights.same(exact, exact * (1 + 1e-4))
    # In the model float32, in the file bfloat16, as the routers of ERNIE: peft's sum is not rounded.
    assert weights.same(one.float(), one.float() * (1 + 1e-3)) and not weights.same(one.float(), one.float() * 1.01)


@pytest.mark.parametrize(("dtype", "eps"), [(torch.bfloat16, 2**-7), (torch.float16, 2**-10)])
@pytest.mark.parametrize(
    ("before", "steps", "close"),
    [(1.0, 1, True), (1.0, 2, True), (1.0, 3, False), (-1.0, -3, False), (1.0, -200, False), (1.0, math.nan, False)],
)
def test_the_few_elements_that_differ_do_so_by_two_steps_of_the_dtype_at_most(
    dtype: torch.dtype, eps: float, before: float, steps: float, close: bool
) -> None:
    one = torch.full((4000,), before, dtype=dtype)
    other = one.clone()
    other[7] = before + steps * eps
    assert weights.same(one, other) is weights.same(other, one) is close


def test_a_step_of_the_usual_size_is_allowed_where_base_and_product_cancel() -> None:
    one = torch.ones(4000, dtype=torch.bfloat16)
    one[7] = 0
    for value, close in ((2**-7, True), (2**-5, False)):
        other = one.clone()
        other[7] = value
        assert weights.same(one, other) is close


@pytest.mark.parametrize("error", [AttributeError, TypeError, RuntimeError])
def test_what_the_code_of_a_model_or_of_peft_raises_is_one_line(
    mixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[Exception]
) -> None:
    from peft import PeftModel

    def fail(*_: object, **__: object) -> None:
        raise error("no such thing\nand more")

    monkeypatch.setattr(PeftModel, "merge_and_unload", fail, raising=False)
    with pytest.raises(StepError) as refused:
        check(*mixture, "always")
    reason = "peft's own merge of the two fails: no such thing"
    assert str(refused.value) == f"--check-logits always: {reason}; or give --check-logits auto"
    assert check(*mixture, "auto") == {"skipped": reason}
    monkeypatch.setattr(PeftModel, "from_pretrained", fail)
    assert check(*mixture, "auto")["skipped"].endswith("with the adapter cannot be computed: no such thing")


def test_the_prompts_are_written_as_in_training(merged, save_tokenizer, monkeypatch) -> None:
    base, adapter, folder = merged
    save_tokenizer(folder, "{{ 'a b' if thinking else 'a' }}")
    (adapter / "manifest.json").write_text('{"files": {}, "chat_template": {"kwargs": {"thinking": true}}}')
    assert check(base, adapter, folder, "always")["tokens"] == 2 * len(logits.PROMPTS)
    (adapter / "manifest.json").write_text('{"files": {}, "chat_template": {"kwargs": ["thinking"]}}')
    with pytest.raises(StepError, match=r"manifest.json: chat_template must be an object that training wrote"):
        check(base, adapter, folder, "always")


def test_a_model_that_does_not_fit_in_memory_is_not_checked(merged, monkeypatch, capsys) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    reason = "the model in float32 takes 1.1 GB of memory, 1.0 GB are free; take an instance with more memory"
    assert check(*merged, "auto") == {"skipped": reason}
    assert capsys.readouterr().out == f"logits not checked: {reason}\n"
    with pytest.raises(StepError) as refused:
        check(*merged, "always")
    assert str(refused.value) == f"--check-logits always: {reason}; or give --check-logits auto"


def test_a_model_that_transformers_does_not_know_is_not_checked(merged, capsys) -> None:
    base, _, _ = merged
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "of-tomorrow"}))
    found = check(*merged, "auto")
    assert found["skipped"].startswith(f"transformers cannot load {base}: ")
    assert "of-tomorrow" in capsys.readouterr().out


def test_what_a_prediction_does_not_depend_on_is_no_difference() -> None:
    class Model(torch.nn.Module):
        def forward(self, tokens: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=torch.tensor([[[1.0, 2.0, 6.0]]]).expand(1, tokens.shape[1], 3))

    assert torch.equal(logits._logits(Model(), [[5], [5, 6]]), torch.tensor([[-2.0, -1.0, 3.0]] * 3))
