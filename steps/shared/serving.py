"""What serving a version asks of its files and settings; shared by both sides. Imports the standard library only.

The container is DJL Serving's LMI with vLLM. What is said of it here is read from its code and documentation
(github.com/deepjavalibrary/djl-serving, commit d21927c4, and vLLM's docs/features/tool_calling.md); nothing of it has
run against a container.
"""

from __future__ import annotations

import re

# vllm/config/lora.py, MaxLoRARanks: the values that an endpoint's max_lora_rank can have.
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)

# wlm/ModelInfo.java, load: LMI registers each folder in `adapters/` of the model's folder under the folder's name, and
# a request picks one by its field `adapters`.
ADAPTER_NAME = "dpo"
ADAPTER_FOLDER = f"adapters/{ADAPTER_NAME}"
# serving/util/ModelStore.java, initialize: a folder that holds nothing but folders is taken for several models. This
# file makes it one, whose base OPTION_MODEL_ID names; with HF_MODEL_ID the base would be a second model without it.
PROPERTIES = "serving.properties"
PROPERTIES_TEXT = "engine=Python\n"

# LMI gives vLLM's chat service no default for chat_template_kwargs (lmi_vllm/vllm_async_service.py, initialize), so the
# folder's templates have them in it. With an adapter vLLM would take the base's tokenizer and its templates: LMI hands
# OPTION_TOKENIZER on to it, the folder of the adapter's own. SageMaker lays the served folder at /opt/ml/model.
MODEL = "/opt/ml/model"
ADAPTER_TOKENIZER = f"{MODEL}/{ADAPTER_FOLDER}"

# vLLM's parsers by the names of the models that they are documented for (Qwen3's by Qwen, Llama 3.3's format is that of
# 3.1, Qwen3.5's chat templates have Qwen3-Coder's); the first that is found in a name counts. steps/shared/calls reads
# what these models write, by the same names.
TOOL_CALL_PARSERS = (
    (r"qwen3-coder", "qwen3_xml"),
    (r"qwen-?3\.[56]", "qwen3_coder"),
    (r"deepseek-v3\.1(?!\d)", "deepseek_v31"),
    (r"deepseek-v3(?!\.)|deepseek-r1-0528", "deepseek_v3"),
    (r"qwen-?2\.5|qwen-?3(?![\d.])|qwq", "hermes"),
    (r"hermes-[23]", "hermes"),
    (r"llama-3\.[123]", "llama3_json"),
    (r"llama-4", "llama4_pythonic"),
    (r"mistral", "mistral"),
    (r"glm-4\.[56](?!\d)", "glm45"),
    (r"glm-4\.7(?!\d)", "glm47"),
    (r"gpt-oss", "openai"),
    (r"kimi-k2", "kimi_k2"),
    (r"granite-4", "granite4"),
    (r"granite-3", "granite"),
    (r"seed-oss", "seed_oss"),
    (r"olmo-3", "olmo3"),
    (r"lfm2", "lfm2"),
    (r"gemma-4", "gemma4"),
    (r"jamba-1\.5", "jamba"),
    (r"internlm2[._]5", "internlm"),
    (r"phi-4-mini", "phi4_mini_json"),
)

# The same, told from the text of a chat template: what all stands in those of a family, and what then must not. A
# template in which the marks of several stand says nothing.
TEMPLATE_MARKS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("hermes", ("<tool_call>", "</tool_call>", "name", "arguments", "{"), ("<function=", "<arg_key>", "<|tool_call|>")),
    ("qwen3_coder", ("<tool_call>", "<function=", "<parameter="), ()),
    ("seed_oss", ("<seed:tool_call>", "<function="), ()),
    ("glm45", ("<tool_call>", "<arg_key>", "<arg_value>"), ()),
    ("llama3_json", ("Environment: ipython", '"parameters": '), ("[func_name1(",)),
    ("mistral", ("[TOOL_CALLS]",), ()),
    ("deepseek_v3", ("<\uff5ctool\u2581calls\u2581begin\uff5c>", "```json"), ()),
    ("deepseek_v31", ("<\uff5ctool\u2581calls\u2581begin\uff5c>",), ("```json",)),
    ("kimi_k2", ("<|tool_calls_section_begin|>",), ()),
    ("openai", ("functions.", "<|channel|>commentary"), ()),
    ("granite", ("<|start_of_role|>", "<|tool_call|>"), ()),
    ("gemma4", ("<|tool_call>call:",), ()),
    ("lfm2", ("<|tool_call_start|>",), ()),
    ("olmo3", ("<function_calls>",), ()),
    ("internlm", ("<|action_start|><|plugin|>",), ()),
)


def max_lora_rank(rank: int) -> int:
    """The endpoint's setting for an adapter: the least that holds its rank. Above the largest, the rank itself, which
    vLLM refuses: such an adapter can only be merged."""
    return next((allowed for allowed in VLLM_RANKS if allowed >= rank), rank)


def tool_call_parser(model: str) -> str | None:
    """vLLM's parser of a model's tool calls, told from the model's name; None for a family that is not known here."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    return next((parser for pattern, parser in TOOL_CALL_PARSERS if re.search(pattern, name)), None)


def parser_for(model: str, template: str | None) -> str | None:
    """The same, told from the text of the model's chat template where the name says nothing."""
    named = tool_call_parser(model)
    if named or not template:
        return named
    found = {
        parser
        for parser, marks, others in TEMPLATE_MARKS
        if all(mark in template for mark in marks) and not any(mark in template for mark in others)
    }
    return found.pop() if len(found) == 1 else None
