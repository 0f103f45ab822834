"""What an adapter_config.json may hold without being more than plain LoRA."""

from __future__ import annotations

import pytest
from peft import LoraConfig

from steps.shared.lora_settings import beyond_plain, malformed, named


def saved(**settings: object) -> dict[str, object]:
    """A configuration as peft writes it, with the settings changed."""
    config = LoraConfig(r=4, target_modules=["q_proj"]).to_dict()
    return {key: value for key, value in config.items() if not isinstance(value, set)} | settings


@pytest.mark.parametrize("start", [True, False, None, "gaussian", "orthogonal", "eva"])
def test_whatever_plain_lora_leaves_in_its_configuration_is_known(start: object) -> None:
    config = saved(init_lora_weights=start, target_parameters=["down_proj"], use_rslora=True, lora_dropout=0.1)
    assert beyond_plain(config) == {} and malformed(config) is None


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_16", "olora", "loftq", "corda", "lora_ga", "of_tomorrow"])
def test_a_start_that_alters_the_base_is_not_plain(start: str) -> None:
    assert beyond_plain(saved(init_lora_weights=start)) == {"init_lora_weights": start}


def test_a_switch_that_nobody_here_knows_is_not_plain_once_it_is_on() -> None:
    config = saved(of_a_later_peft={"x": 1}, another=False, use_dora=True, bias="all")
    assert named(beyond_plain(config)) == 'bias "all", of_a_later_peft {"x": 1}, use_dora true'
    assert beyond_plain(config, frozenset({"bias", "use_dora"})) == {"of_a_later_peft": {"x": 1}}
