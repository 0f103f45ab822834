"""Families whose calls are JSON objects with a name and arguments, between marks of their own.

Each reader takes an answer without its reasoning and gives its calls with the text beside them, and raises Unreadable
where a call begins that it cannot read. Sources: vLLM's parsers of the same names, in
https://github.com/vllm-project/vllm/tree/main/vllm/tool_parsers, and what is linked at each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from steps.shared.calls.call import Call, Unreadable, call_of, named, read_json, read_json_at
from steps.shared.records import Tools

Read = tuple[list[Call], str]

HERMES = "<tool_call>", "</tool_call>"
PYTHON_TAG = "<|python_tag|>"  # before calls of Llama 3; not before all of them
GRANITE = "<|tool_call|>", "<tool_call>"  # 3.0's, and 3.1's
JAMBA = "<tool_calls>", "</tool_calls>"
PHI = "functools"
INTERNLM = "<|action_start|><|plugin|>", "<|action_end|>"
MISTRAL = "[TOOL_CALLS]"
MISTRAL_NAME = re.compile(r"\s*+([^\s{\[]++)\s*+(?:\[CALL_ID\][^\s{\[]*+)?\s*+(?:\[ARGS\])?\s*+(?=\{)")
ARGUMENTS = ("arguments", "parameters")


def between(text: str, opening: str, closing: str) -> Iterator[str]:
    """What stands between each pair of marks; the last goes to the end where it is not closed."""
    at = text.find(opening)
    while at >= 0:
        begin = at + len(opening)
        end = text.find(closing, begin)
        if end < 0:
            yield text[begin:]
            return
        yield text[begin:end]
        at = text.find(opening, end + len(closing))


def hermes(text: str, tools: Tools) -> Read:
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as many as there are; the last need not be closed.

    https://github.com/NousResearch/Hermes-Function-Calling,
    https://qwen.readthedocs.io/en/latest/framework/function_call.html
    """
    opening, closing = HERMES
    calls = [call_of(read_json(inside), "arguments") for inside in between(text, opening, closing)]
    return calls, text.partition(opening)[0] if calls else text


def llama3_json(text: str, tools: Tools) -> Read:
    """`{"name": …, "parameters": {…}}`, several with `;` between them, perhaps after `<|python_tag|>`; with arguments
    in place of parameters too. Objects are taken wherever they stand in the text, those without a name left out.

    https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/#json-based-tool-calling
    """
    calls: list[Call] = []
    begun = text.lstrip().startswith(PYTHON_TAG)
    at = text.find("{")
    while at >= 0:
        try:
            value, at = read_json_at(text, at)
        except Unreadable:  # vLLM too looks no further
            if not calls and (begun or re.match(r'\{\s*"name"\s*:', text[at : at + 100])):
                raise
            break
        if "name" in value and any(key in value for key in ARGUMENTS):
            calls.append(call_of(value, *ARGUMENTS))
        at = text.find("{", at)
    if begun and not calls:
        raise Unreadable(f"no call follows {PYTHON_TAG}")
    return calls, "" if calls else text


def mistral(text: str, tools: Tools) -> Read:
    """`[TOOL_CALLS][{"name": …, "arguments": {…}}, …]`, or since version 11 of its tokenizer, for each call,
    `[TOOL_CALLS]name[ARGS]{…}`, in which a `[CALL_ID]` or no `[ARGS]` may stand.

    https://github.com/mistralai/mistral-common, src/mistral_common/tokens/tokenizers/instruct.py
    """
    content, *parts = text.split(MISTRAL)
    calls = [call for part in parts for call in _mistral(part)]
    return calls, content if calls else text


def _mistral(part: str) -> list[Call]:
    if part.lstrip().startswith("["):
        value, _ = read_json_at(part, part.index("["))
        return [call_of(each, "arguments") for each in value]
    found = MISTRAL_NAME.match(part)
    if not found:
        raise Unreadable(f"neither a list of calls nor a name with arguments follows {MISTRAL}")
    arguments, _ = read_json_at(part, found.end())
    return [named(found[1], arguments)]


def granite(text: str, tools: Tools) -> Read:
    """`<|tool_call|>[{"name": …, "arguments": {…}}, …]`, with the mark `<tool_call>` from Granite 3.1 on, or none.

    https://github.com/vllm-project/vllm/blob/main/examples/tool_chat_template_granite.jinja
    """
    stripped = text.strip()
    inside = stripped
    for mark in GRANITE:
        inside = inside.removeprefix(mark).lstrip()
    if inside == stripped and not re.match(r'\[\s*\{\s*"', inside[:100]):
        return [], text
    return _listed(inside), ""


def jamba(text: str, tools: Tools) -> Read:
    """`<tool_calls>[{"name": …, "arguments": {…}}, …]</tool_calls>`, once.

    https://huggingface.co/ai21labs/AI21-Jamba-1.5-Mini
    """
    opening, closing = JAMBA
    content, begun, rest = text.partition(opening)
    if not begun:
        return [], text
    inside, closed, _ = rest.partition(closing)
    if not closed:
        raise Unreadable(f"{opening} is not closed")
    return _listed(inside), content


def phi4_mini_json(text: str, tools: Tools) -> Read:
    """`functools[{"name": …, "arguments": {…}}, …]`. vLLM's parser ends at the first `]`, and so loses calls that have
    an array among their arguments; here they are read.

    https://github.com/vllm-project/vllm/blob/main/examples/tool_chat_template_phi4_mini.jinja
    """
    at = text.find(f"{PHI}[")
    if at < 0:
        return [], text
    value, _ = read_json_at(text, at + len(PHI))
    return [call_of(each, *ARGUMENTS) for each in value], text[:at]


def internlm(text: str, tools: Tools) -> Read:
    """`<|action_start|><|plugin|>{"name": …, "parameters": {…}}<|action_end|>`, once: its template has no second one.

    https://github.com/InternLM/InternLM/blob/main/chat/chat_format.md
    """
    opening, closing = INTERNLM
    content, begun, rest = text.partition(opening)
    if not begun:
        return [], text
    return [call_of(read_json(rest.partition(closing)[0]), "parameters", "arguments")], content


def _listed(text: str) -> list[Call]:
    value = read_json(text)
    if not isinstance(value, list):
        raise Unreadable("the calls are no list")
    return [call_of(each, "arguments") for each in value]
