"""What a version is served with: the ranks that vLLM has, and the parser of a model's tool calls."""

from __future__ import annotations

import pytest

from steps.shared.serving import VLLM_RANKS, max_lora_rank, tool_call_parser


@pytest.mark.parametrize(("rank", "allowed"), [(1, 1), (2, 8), (8, 8), (12, 16), (257, 320), (512, 512), (600, 600)])
def test_the_least_rank_that_holds_the_adapter(rank: int, allowed: int) -> None:
    assert max_lora_rank(rank) == allowed and (allowed in VLLM_RANKS or allowed == rank > VLLM_RANKS[-1])


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("Qwen/Qwen3-8B", "hermes"),
        ("Qwen/Qwen2.5-7B-Instruct", "hermes"),
        ("s3://bucket/models/qwen2.5-7b/", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_xml"),
        ("Qwen/Qwen3.5-9B", "qwen3_coder"),
        ("Qwen/Qwen2-7B-Instruct", None),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama3_json"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", None),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral"),
        ("qwen3/unnamed", None),
        (".local/models/quickstart", None),
    ],
)
def test_a_parser_is_told_from_the_models_name_alone_and_only_where_it_is_known(model: str, parser: str | None) -> None:
    assert tool_call_parser(model) == parser
