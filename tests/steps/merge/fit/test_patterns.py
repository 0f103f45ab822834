"""Patterns of an adapter's configuration that would take years are refused in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steps.merge.fit import peft_settings
from steps.merge.fit.peft_settings import Settings, require_quick
from steps.shared.contract import StepError

MODULES = [f"model.layers.{layer}.self_attn.{part}_proj" for layer in range(200) for part in "qkvo"]
SLOW = "(([a-z_.0-9])+)+[XY]"


@pytest.mark.parametrize(
    "settings",
    [{"target_modules": SLOW}, {"exclude_modules": SLOW}, {"rank_pattern": {SLOW: 8}}, {"alpha_pattern": {SLOW: 8}}],
)
def test_a_pattern_without_end_is_told(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    monkeypatch.setattr(peft_settings, "SECONDS", 0.05)
    with pytest.raises(StepError) as refused:
        require_quick(Settings(Path("a/adapter_config.json"), settings), MODULES)
    assert str(refused.value) == (
        f"a/adapter_config.json: {next(iter(settings))} {SLOW!r}: matching it with the names of the base's modules "
        "takes more than 0.05 s; write it without a repetition inside a repetition, or name the modules"
    )


@pytest.mark.parametrize("target", ["all-linear", r".*\\.(q|v)_proj", ["q_proj"], None, "q_proj|v_proj"])
def test_usual_patterns_and_names_pass(target: object) -> None:
    require_quick(
        Settings(Path("a"), {"target_modules": target, "rank_pattern": {"q_proj": 8, "layers.3.*": 2}}), MODULES
    )
