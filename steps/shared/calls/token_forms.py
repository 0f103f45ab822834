"""Families that mark the parts of a call with tokens of their own: a name, then JSON arguments.

As in json_forms.py, each reader gives the calls of an answer and the text beside them, or raises Unreadable.
"""

from __future__ import annotations

from collections.abc import Callable

from steps.shared.calls.call import Call, Unreadable, named, read_json
from steps.shared.calls.json_forms import Read, between
from steps.shared.records import Tools

# DeepSeek's tokens have a full-width bar, and a lower block in place of the space.
DEEPSEEK_CALLS = "<\uff5ctool\u2581calls\u2581begin\uff5c>"
DEEPSEEK_CALL = "<\uff5ctool\u2581call\u2581begin\uff5c>", "<\uff5ctool\u2581call\u2581end\uff5c>"
DEEPSEEK_BETWEEN = "<\uff5ctool\u2581sep\uff5c>"
KIMI_CALLS = "<|tool_calls_section_begin|>"
KIMI_CALL = "<|tool_call_begin|>", "<|tool_call_end|>"
KIMI_BETWEEN = "<|tool_call_argument_begin|>"


def deepseek_v3(text: str, tools: Tools) -> Read:
    """Calls of `function`, the name and a block of JSON, each between the marks of a call, all after that of calls.

    https://github.com/vllm-project/vllm/blob/main/examples/tool_chat_template_deepseekv3.jinja
    """
    return _deepseek(text, _deepseek_v3)


def deepseek_v31(text: str, tools: Tools) -> Read:
    """As V3's, with the name in place of `function` and the bare JSON after it.

    https://github.com/vllm-project/vllm/blob/main/examples/tool_chat_template_deepseekv31.jinja
    """
    return _deepseek(text, _deepseek_v31)


def _deepseek(text: str, call: Callable[[str, str], Call]) -> Read:
    content, begun, rest = text.partition(DEEPSEEK_CALLS)
    if not begun:
        return [], text
    calls = [call(*_halves(inside, DEEPSEEK_BETWEEN)) for inside in between(rest, *DEEPSEEK_CALL)]
    return _some(calls), content


def _deepseek_v3(kind: str, rest: str) -> Call:
    name, fence, arguments = rest.partition("\n```json\n")
    inside, closed, _ = arguments.rpartition("\n```")
    if not fence or not closed:
        raise Unreadable("the arguments stand in no block of JSON")
    return named(name, read_json(inside))


def _deepseek_v31(name: str, arguments: str) -> Call:
    return named(name, read_json(arguments))


def kimi_k2(text: str, tools: Tools) -> Read:
    """`functions.name:0`, a mark and JSON, each between the marks of a call, all after that of the section.

    https://huggingface.co/moonshotai/Kimi-K2-Instruct/blob/main/docs/tool_call_guidance.md
    """
    content, begun, rest = text.partition(KIMI_CALLS)
    if not begun:
        return [], text
    calls = []
    for inside in between(rest, *KIMI_CALL):
        label, arguments = _halves(inside, KIMI_BETWEEN)
        name, colon, number = label.strip().rpartition(":")
        if not colon or not number.isdecimal():
            raise Unreadable("the call has no number")
        calls.append(named(name.rpartition(".")[2], read_json(arguments)))
    return _some(calls), content


def _halves(text: str, mark: str) -> tuple[str, str]:
    before, found, after = text.partition(mark)
    if not found:
        raise Unreadable(f"no {mark} in the call")
    return before, after


def _some(calls: list[Call]) -> list[Call]:
    if not calls:
        raise Unreadable("the calls begin, and none follows")
    return calls
