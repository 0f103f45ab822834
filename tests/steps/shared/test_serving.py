"""What a version is served with: the ranks that vLLM has, and the parser of a model's tool calls."""

from __future__ import annotations

import pytest

from steps.quickstart.tiny_model import TEMPLATE
from steps.shared.serving import VLLM_RANKS, max_lora_rank, parser_for, tool_call_parser
from tests.steps.shared.templates.exam import trl_sources


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
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31"),
        ("deepseek-ai/DeepSeek-V3.2", None),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", None),
        ("zai-org/GLM-4.6", "glm45"),
        ("zai-org/GLM-4.7-Flash", "glm47"),
        ("zai-org/GLM-4-9B-0414", None),
        ("openai/gpt-oss-20b", "openai"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2"),
        ("ibm-granite/granite-3.1-8b-instruct", "granite"),
        ("ibm-granite/granite-4.0-h-small", "granite4"),
        ("ByteDance-Seed/Seed-OSS-36B-Instruct", "seed_oss"),
        ("allenai/Olmo-3-7B-Instruct", "olmo3"),
        ("LiquidAI/LFM2-1.2B", "lfm2"),
        ("google/gemma-4-E4B-it", "gemma4"),
        ("google/gemma-3-4b-it", None),
        ("ai21labs/AI21-Jamba-1.5-Mini", "jamba"),
        ("internlm/internlm2_5-7b-chat", "internlm"),
        ("microsoft/Phi-4-mini-instruct", "phi4_mini_json"),
        ("qwen3/unnamed", None),
        (".local/models/quickstart", None),
    ],
)
def test_a_parser_is_told_from_the_models_name_alone_and_only_where_it_is_known(model: str, parser: str | None) -> None:
    assert tool_call_parser(model) == parser


def test_where_the_name_says_nothing_the_chat_template_does() -> None:
    assert parser_for(".local/models/quickstart", TEMPLATE) == "hermes"
    assert parser_for("unnamed", "{{ '<|start_of_role|>assistant<|end_of_role|><|tool_call|>' }}") == "granite"
    found = {name: parser_for("/opt/ml/input/data/model", source) for name, source in trl_sources().items()}
    families = {
        "qwen2_5": "hermes",
        "qwen3": "hermes",
        "qwen3_5_think": "qwen3_coder",
        "nemotron_3_nano": "qwen3_coder",
        "llama3_1": "llama3_json",
        "llama3_2": "llama3_json",
        "deepseekv3": "deepseek_v3",
        "glm4moe": "glm45",
        "gptoss": "openai",
        "gemma4": "gemma4",
        "lfm2_2_5": "lfm2",
        "llama3": None,
        "gemma3": None,
        "phi3": None,
        "cohere2": None,
        "muse_glimmer": None,
    }
    assert {name: found[name] for name in families} == families


def test_the_name_counts_before_the_template_as_at_the_endpoint() -> None:
    assert parser_for("Qwen/Qwen3-8B", trl_sources()["gptoss"]) == "hermes"
    assert parser_for("Qwen/Qwen3-8B", None) == "hermes" and parser_for("unnamed", None) is None


def test_a_template_with_the_marks_of_two_families_says_nothing() -> None:
    both = trl_sources()["qwen3"] + trl_sources()["gptoss"]
    assert parser_for("unnamed", both) is None and parser_for("unnamed", "") is None
