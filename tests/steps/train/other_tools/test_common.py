"""The keys that all three trainers share."""

from __future__ import annotations

from typing import Any

import pytest

from steps.train.other_tools import common
from steps.train.other_tools.rules import Left, Written


@pytest.mark.parametrize(
    ("key", "value", "whole", "written"),
    [
        ("optim", "paged_adamw_8bit", {}, ("optim", "adamw_torch")),
        ("optim", "adamw_torch_fused", {}, ("optim", "adamw_torch_fused")),
        ("warmup_ratio", 0.1, {}, ("warmup_steps", 0.1)),
        ("eval_steps", 5, {"eval_strategy": "steps", "eval_steps": 5}, ("eval_steps", 5)),
        ("eval_steps", 5, {"eval_steps": 5}, ("eval_steps", 0)),
        ("evaluation_strategy", False, {"evaluation_strategy": False}, ("eval_steps", 0)),
        ("metric_for_best_model", "eval_rewards/margins", {}, ("early_stopping_metric", "eval_reward_margin")),
        ("fsdp_config", {"fsdp_reshard_after_forward": False}, {}, ("fsdp_config", {"reshard_after_forward": False})),
        ("save_steps", 7, {}, ("save_steps", 7)),
    ],
)
def test_values_are_converted(key: str, value: Any, whole: dict[str, Any], written: tuple[str, Any]) -> None:
    outcome = common.TRAINER[key].act(value, whole)[0]
    assert isinstance(outcome, Written) and (outcome.argument, outcome.value) == written


@pytest.mark.parametrize(
    ("key", "value", "whole", "matters"),
    [
        ("optim", "adafactor", {}, True),
        ("warmup_ratio", 0.1, {"warmup_steps": 5}, False),
        ("warmup_ratio", 2, {}, True),
        ("eval_steps", 0.1, {"eval_strategy": "steps", "eval_steps": 0.1}, True),
        ("save_steps", 0.1, {}, False),
        ("report_to", "none", {}, False),
        ("report_to", ["wandb"], {}, True),
        ("report_to", ["wandb"], {"wandb_project": "p"}, False),
        ("fsdp_config", {}, {}, False),
        ("fsdp_config", {"fsdp_offload_params": True}, {}, False),
        ("adam_beta2", 0.95, {}, True),
        ("adam_beta2", 0.999, {}, False),
        ("deepspeed", "ds.json", {}, False),
    ],
)
def test_what_has_no_counterpart_is_named(key: str, value: Any, whole: dict[str, Any], matters: bool) -> None:
    outcome = common.TRAINER[key].act(value, whole)[0]
    assert isinstance(outcome, Left) and outcome.matters is matters and outcome.why
