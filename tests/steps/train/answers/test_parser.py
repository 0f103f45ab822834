"""Which parser reads a model's calls."""

from __future__ import annotations

import pytest

from steps.train.answers.parser import Parser, choose

HERMES_TEMPLATE = '{{ "<tool_call>\\n{\\"name\\": ..., \\"arguments\\": ...}\\n</tool_call>" }}'


@pytest.mark.parametrize(
    ("asked", "model", "expected"),
    [
        ("auto", "Qwen/Qwen3-8B", Parser("hermes")),
        ("auto", "/opt/ml/models/Llama-3.1-8B-Instruct", Parser("llama3_json")),
        ("mistral", "Qwen/Qwen3-8B", Parser("mistral")),
        ("none", "Qwen/Qwen3-8B", Parser(None, "tool_call_parser: none")),
        ("auto", "a/model", Parser(None, "no parser is known for a/model; name one by tool_call_parser")),
        ("no_such", "Qwen/Qwen3-8B", Parser(None, "tool_call_parser: no_such is not read here")),
    ],
)
def test_a_parser_is_chosen_or_the_reason_is_said(asked: str, model: str, expected: Parser) -> None:
    assert choose(asked, model, "") == expected
