"""Families whose calls are calls of Python with literal keyword arguments: `[f(a=1), g(b="x")]`.

true, false and null count as literals too, and a name may have dots. Arguments without a keyword are left out, as vLLM
leaves them out. As in json_forms.py, each reader gives the calls of an answer and the text beside them, or raises
Unreadable. What is between the marks is parsed by Python's own parser and never run.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from steps.shared.calls.call import DEEPEST, Call, Unreadable, checked, named
from steps.shared.calls.json_forms import Read
from steps.shared.records import Tools

BEGINS = re.compile(r"\[\s*[A-Za-z_][\w.]*\(")
LLAMA4 = "<|python_start|>", "<|python_end|>"
LFM2 = "<|tool_call_start|>", "<|tool_call_end|>"
OLMO3 = "<function_calls>", "</function_calls>"
JSON_NAMES = {"true": True, "false": False, "null": None}
LONGEST = 100_000  # characters that are given to Python's parser


def pythonic(text: str, tools: Tools) -> Read:
    """A list of calls and nothing else.

    https://github.com/meta-llama/llama-models/blob/main/models/llama3_2/text_prompt_format.md
    """
    inside = text.strip()
    if not BEGINS.match(inside):
        return [], text
    return _calls(inside), ""


def llama4_pythonic(text: str, tools: Tools) -> Read:
    """The same, perhaps between marks.

    https://github.com/vllm-project/vllm/blob/main/examples/tool_chat_template_llama4_pythonic.jinja
    """
    opening, closing = LLAMA4
    inside = text.strip()
    if not inside.startswith(opening):
        return pythonic(text, tools)
    return _calls(inside.removeprefix(opening).partition(closing)[0].strip()), ""


def lfm2(text: str, tools: Tools) -> Read:
    """A list of calls between marks, with text around it.

    https://huggingface.co/LiquidAI/LFM2-1.2B
    """
    opening, closing = LFM2
    before, begun, rest = text.partition(opening)
    if not begun:
        return [], text
    inside, _, after = rest.partition(closing)
    return _calls(inside.strip()), before + after.rpartition(closing)[2]  # the calls are often said twice


def olmo3(text: str, tools: Tools) -> Read:
    """A call a line between marks.

    https://github.com/vllm-project/vllm/blob/main/docs/features/tool_calling.md
    """
    opening, closing = OLMO3
    before, begun, rest = text.partition(opening)
    if not begun:
        return [], text
    lines = [line.strip() for line in rest.partition(closing)[0].splitlines() if line.strip()]
    return _calls(f"[{', '.join(lines)}]"), before


def _calls(text: str) -> list[Call]:
    if len(text) > LONGEST:
        raise Unreadable(f"the calls are longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a backslash in a string that escapes nothing
            warnings.simplefilter("ignore", DeprecationWarning)
            parsed = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Unreadable("the calls are no list of Python calls") from None
    if not isinstance(parsed, ast.List) or not parsed.elts:
        raise Unreadable("the calls are no list of Python calls")
    return [_call(each) for each in parsed.elts]


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise Unreadable("the calls are no list of Python calls")
    arguments = {keyword.arg: _value(keyword.value, 1) for keyword in node.keywords if keyword.arg}
    return named(_name(node.func), checked(arguments))


def _name(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise Unreadable("what is called is no name")
    return ".".join(reversed([*parts, node.id]))


def _value(node: ast.expr, depth: int) -> Any:
    if depth > DEEPEST:
        raise Unreadable(f"its arguments are nested more than {DEEPEST} deep")
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_value(each, depth + 1) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {_key(key): _value(value, depth + 1) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.Name) and node.id in JSON_NAMES:
        return JSON_NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    raise Unreadable("its arguments are no literals")


def _key(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise Unreadable("a key of its arguments is no string")
    return node.value
