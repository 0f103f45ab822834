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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"target_modules": "((("},
            "target_modules '(((' is no regular expression (missing ), unterminated subpattern",
        ),
        ({"exclude_modules": "*"}, "exclude_modules '*' is no regular expression (nothing to repeat"),
        ({"target_modules": "a{99999999999}"}, "is no regular expression (the repetition number is too large)"),
        ({"target_modules": {"q_proj": 1}}, "target_modules must be a list of names, or one text"),
        ({"target_modules": [1]}, "target_modules must be a list of names, or one text"),
        ({"rank_pattern": {"(": 8}}, "rank_pattern: '(' is no regular expression"),
        ({"alpha_pattern": {"*": 8}}, "alpha_pattern: '*' is no regular expression"),
    ],
)
def test_what_is_no_pattern_is_told_before_peft_reads_it(settings: dict[str, object], said: str) -> None:
    assert said in malformed(saved(**settings))


@pytest.mark.parametrize("target", ["all-linear", r".*\.(q|v)_proj", ["(["], None, []])
def test_patterns_and_names_are_well_formed(target: object) -> None:
    assert malformed(saved(target_modules=target)) is None
