"""The class that a checkpoint is loaded with follows what the checkpoint says it is."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("model_type", "architectures", "expected"),
    [
        ("llama", ["LlamaForCausalLM"], "AutoModelForCausalLM"),
        ("gemma3", ["Gemma3ForConditionalGeneration"], "AutoModelForMultimodalLM"),
        ("mistral3", ["Mistral3ForConditionalGeneration"], "AutoModelForMultimodalLM"),
        ("mistral3", None, "AutoModelForMultimodalLM"),  # transformers has no other class
        ("qwen3_5", ["Qwen3_5ForConditionalGeneration"], "AutoModelForMultimodalLM"),
        ("qwen3_5", ["Qwen3_5ForCausalLM"], "AutoModelForCausalLM"),
        ("qwen3_5_text", ["Qwen3_5ForCausalLM"], "AutoModelForCausalLM"),
    ],
)
def test_a_multimodal_checkpoint_is_loaded_whole(
    model_type: str, architectures: list[str] | None, expected: str
) -> None:
    from transformers import AutoConfig

    from steps.shared.model_class import auto_class

    config = AutoConfig.for_model(model_type, architectures=architectures)
    assert auto_class(config).__name__ == expected
