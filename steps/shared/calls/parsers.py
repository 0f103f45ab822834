"""What a model wrote, read as the endpoint reads it: vLLM's parser of the family's calls, by its name there.

Reasoning before an answer is left out first, as the family's reasoning parser does. Where one of several calls cannot
be read, there are none, because vLLM then gives out the text as it is. Text is taken as data: nothing of it is run, and
reading it takes time in proportion to its length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from steps.shared.calls.call import Parsed, Unreadable
from steps.shared.calls.gemma_form import gemma4
from steps.shared.calls.harmony_form import openai
from steps.shared.calls.json_forms import Read, granite, hermes, internlm, jamba, llama3_json, mistral, phi4_mini_json
from steps.shared.calls.python_form import lfm2, llama4_pythonic, olmo3, pythonic
from steps.shared.calls.token_forms import deepseek_v3, deepseek_v31, kimi_k2
from steps.shared.calls.xml_forms import glm45, qwen3, seed_oss
from steps.shared.contract import StepError
from steps.shared.records import Tools
from steps.shared.templates.blocks import BLOCKS, block_at_end

# vLLM's name -> what reads its form (vllm/tool_parsers/__init__.py names them all).
PARSERS: Mapping[str, Callable[[str, Tools], Read]] = {
    "hermes": hermes,
    "granite4": hermes,
    "qwen3_xml": qwen3,
    "qwen3_coder": qwen3,
    "seed_oss": seed_oss,
    "glm45": glm45,
    "glm47": glm45,
    "llama3_json": llama3_json,
    "llama4_json": llama3_json,
    "llama4_pythonic": llama4_pythonic,
    "pythonic": pythonic,
    "lfm2": lfm2,
    "olmo3": olmo3,
    "mistral": mistral,
    "deepseek_v3": deepseek_v3,
    "deepseek_v31": deepseek_v31,
    "kimi_k2": kimi_k2,
    "openai": openai,
    "gemma4": gemma4,
    "granite": granite,
    "jamba": jamba,
    "phi4_mini_json": phi4_mini_json,
    "internlm": internlm,
}


def parse(parser: str, text: str, tools: Tools = None) -> Parsed:
    """The calls of an answer, and the text beside them.

    Args:
        parser: one of PARSERS.
        text: with the special tokens that stand in it, without the one that ends it.
        tools: those that the row declares; some forms do not say the types of arguments, which their schemas do.

    Raises:
        StepError: there is no parser of that name here. What the text says never raises.
    """
    if parser not in PARSERS:
        known = ", ".join(PARSERS)
        raise StepError(f"tool_call_parser: {parser} is not read here; name one of {known}, or none")
    answer = without_reasoning(text)
    try:
        calls, content = PARSERS[parser](answer, tools)
    except Unreadable as error:
        return Parsed((), answer.strip(), str(error))
    return Parsed(tuple(calls), content.strip())


def without_reasoning(text: str) -> str:
    """The answer after the block of reasoning at its beginning.

    The block may have been opened by the prompt, so that only its end stands here. One that is opened here and
    never closed takes all that follows; one that the prompt opened and nothing closes cannot be told from an answer.
    """
    for opened, closed in BLOCKS:
        before, found, after = text.partition(closed)
        begun = before.lstrip().startswith(opened)
        if begun or (found and opened not in before):
            return after
    return text


def in_reasoning(text: str, prompt: str) -> bool:
    """Whether an answer ends inside the block of reasoning that it, or the end of its prompt, has opened."""
    block = block_at_end(prompt)
    if block and block.is_open:
        return block.closed not in text
    return any(text.lstrip().startswith(opened) and closed not in text for opened, closed in BLOCKS)
