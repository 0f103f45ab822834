"""What rules are made of."""

from __future__ import annotations

from typing import Any

import pytest

from steps.train.arguments import TrainArguments
from steps.train.other_tools.rules import number, plain, words
from steps.train.other_tools.translate import TOOLS


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("5e-6", 5e-6),
        (3, 3.0),
        ("x", None),
        (True, None),
        (None, None),
        (10**400, None),
        (float("nan"), None),
        ("inf", None),
    ],
)
def test_a_number_is_read_also_where_yaml_reads_a_text(value: Any, found: float | None) -> None:
    assert number(value) == found


def test_words_are_read_from_a_list_or_between_commas() -> None:
    assert words("a, b,") == ["a", "b"] and words(["a", 3, " b"]) == ["a", "b"] and words(3) == []


def test_a_plain_key_has_a_name_here() -> None:
    assert plain("lora_rank")["lora_rank"].becomes == ("lora_r",)
    with pytest.raises(KeyError):
        plain("no_such_key")


def test_rules_become_arguments_and_say_so_in_a_cell_of_a_table() -> None:
    for tool in TOOLS:
        for rule in (*tool.rules.values(), *tool.families.values()):
            assert set(rule.becomes) <= set(TrainArguments.model_fields)
            assert rule.says and not set("|\n") & set(rule.says)
