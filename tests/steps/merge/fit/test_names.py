"""A base whose files name its tensors otherwise than the loaded model does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, PreTrainedConfig

from steps.merge.__main__ import main
from steps.shared.contract import StepError

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
GPT2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2)
PREFIX = "transformer."


@pytest.fixture
def make(tmp_path: Path, save_tokenizer: Callable[[Path, str], None]) -> Callable[..., tuple[Path, Path]]:
    """Write a base as transformers saves it, and an adapter as if it had been trained."""

    def call(config: PreTrainedConfig, targets: list[str]) -> tuple[Path, Path]:
        base, adapter = tmp_path / "base", tmp_path / "adapter"
        torch.manual_seed(7)
        AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(base)
        save_tokenizer(base, "a b")
        model = get_peft_model(load(base), LoraConfig(r=4, target_modules=targets))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += torch.randn_like(parameter) * 0.1
        model.save_pretrained(adapter)
        return base, adapter

    return call


def load(folder: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def words(base: Path, adapter: Path, tmp_path: Path) -> list[str]:
    return ["--base", str(base), "--adapter", str(adapter), "--output", str(tmp_path / "out")]


def as_on_the_hub(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """GPT-2's own files: without the prefix, and with the mask that each layer once had."""
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.bfloat16).tril() for layer in range(2)}
    return masks | {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}


def test_a_base_without_its_models_prefix_merges_to_pefts_bits_under_its_own_names(make, tmp_path: Path) -> None:
    base, adapter = make(GPT2, ["c_attn", "c_proj"])
    edit(base, as_on_the_hub)
    main([*words(base, adapter, tmp_path), "--check-logits", "always"])
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out"))
    assert after.keys() == before.keys() and "h.0.attn.c_attn.weight" in after
    assert sum(not after[name].equal(before[name]) for name in after) == 6
    expected = PeftModel.from_pretrained(load(base), adapter).merge_and_unload().state_dict()
    merged = load(tmp_path / "out").state_dict()
    assert [name for name in expected if not merged[name].equal(expected[name])] == []


def test_two_tensors_that_are_loaded_as_one_are_refused(make, tmp_path: Path) -> None:
    base, adapter = make(GPT2, ["c_attn"])
    doubled = f"{PREFIX}h.1.ln_1.bias"
    edit(base, lambda tensors: as_on_the_hub(tensors) | {doubled: tensors[doubled].clone()})
    with pytest.raises(StepError) as refused:
        main([*words(base, adapter, tmp_path), "--check-logits", "never"])
    said = f"{base}: h.1.ln_1.bias and {doubled} are both loaded as {doubled}; "
    assert str(refused.value).startswith(said) and not (tmp_path / "out").exists()


def test_a_weight_that_the_files_hold_in_another_form_is_refused(make, tmp_path: Path) -> None:
    """HRM's files join gate and up."""
    config = AutoConfig.for_model("hrm_text", **SIZES, num_hidden_layers=2, num_key_value_heads=4, head_dim=8)
    base, adapter = make(config, ["gate_proj"])
    with pytest.raises(
        StepError, match=r"gate_proj\.weight, which .* stores as other tensors, that are joined or split"
    ):
        main([*words(base, adapter, tmp_path), "--check-logits", "never"])


def test_a_base_that_transformers_does_not_know_is_refused(make, tmp_path: Path) -> None:
    base, adapter = make(GPT2, ["c_attn"])
    edit(base, as_on_the_hub)
    unknown = (base / "config.json").read_text().replace('"model_type": "gpt2"', '"model_type": "unheard_of"')
    (base / "config.json").write_text(unknown)
    with pytest.raises(StepError) as refused:
        main([*words(base, adapter, tmp_path), "--check-logits", "never"])
    said = str(refused.value)
    assert said.startswith(f"{base}: its tensors have other names than the adapter's, and transformers cannot tell")
    assert "\n" not in said and not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [AttributeError, TypeError, RuntimeError])
def test_what_a_models_code_raises_is_one_line(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    base, adapter = make(GPT2, ["c_attn"])
    edit(base, as_on_the_hub)

    def fail(*_: object, **__: object) -> None:
        raise error("no such thing\nand more")

    monkeypatch.setattr(AutoModelForCausalLM, "from_config", fail)
    with pytest.raises(StepError) as refused:
        main(words(base, adapter, tmp_path))
    said = str(refused.value).replace(f"{error.__name__}: ", "")
    assert said == (
        f"{base}: transformers cannot make the model of this config.json: no such thing and more; copy or download the "
        "base again, or merge with an environment that loads it"
    )
