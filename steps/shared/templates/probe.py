"""What a template leaves out of a row, found by a row of the same shape whose every text is a word of its own.

Looking for the row's texts themselves is not enough: the name of a call may stand in the answer's text anyway. So each
text is replaced by a word that stands nowhere else, and the render of that row is searched. Rows of one shape (roles,
calls, kinds of arguments, number of tools) are probed once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from steps.shared.records import Messages, Tools
from steps.shared.templates.answer import answer_text
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.refused import RowRefused


@dataclass(frozen=True)
class Found:
    """
    Attributes:
        reason: why rows of this shape are refused; None where nothing is missing.
        detail: what is missing.
        reasoning_dropped: the template leaves out the answer's reasoning.
    """

    reason: str | None = None
    detail: str | None = None
    reasoning_dropped: bool = False


@dataclass
class _Words:
    """Words in place of texts, by what they stand for."""

    count: int = 0
    of: dict[str, list[str]] = field(default_factory=dict)

    def new(self, kind: str) -> str:
        self.count += 1
        word = f"Qz{self.count:04d}xQ"
        self.of.setdefault(kind, []).append(word)
        return word

    def missing(self, kind: str, text: str) -> bool:
        return any(word not in text for word in self.of.get(kind, ()))


def worth_probing(prompt: Messages, answer: Messages, tools: Tools) -> bool:
    """Whether a row has more than texts that can be looked for directly."""
    return bool(tools) or any(
        message["role"] == "tool" or "tool_calls" in message or "reasoning_content" in message
        for message in [*prompt, *answer]
    )


def probe(template: ChatTemplate, prompt: Messages, answer: Messages, tools: Tools) -> Found:
    """What is missing from rows of this shape; a shape that the template refuses as such is left to other checks."""
    shape = (tuple(map(_shape, prompt)), tuple(map(_shape, answer)), len(tools or ()))
    if shape not in template.probed:
        try:
            template.probed[shape] = _search(template, prompt, answer, tools)
        except RowRefused:
            template.probed[shape] = Found()
    found: Found = template.probed[shape]
    return found


def _shape(message: dict[str, Any]) -> tuple[Any, ...]:
    calls = tuple(_kinds(call) for call in message.get("tool_calls") or ())
    return message["role"], bool(message["content"]), "reasoning_content" in message, "tool_call_id" in message, calls


def _kinds(call: dict[str, Any]) -> tuple[str, ...]:
    arguments = call["function"].get("arguments")
    kinds = [type(value).__name__ for value in arguments.values()] if isinstance(arguments, dict) else []
    return (("id" in call and "id") or "", type(arguments).__name__, *sorted(kinds))


def _search(template: ChatTemplate, prompt: Messages, answer: Messages, tools: Tools) -> Found:
    asked, said = _Words(), _Words(5000)
    declared = [_tool(tool, asked) for tool in tools] if tools else tools
    before = [_message(message, asked) for message in prompt]
    after = [_message(message, said) for message in answer]
    text = template.text(before, declared, generation=True)
    for kind, reason in PROMPT.items():
        if asked.missing(kind, text):
            return Found(reason, "of the prompt" if kind != "tools" else None)
    made = answer_text(template, before, after, declared, text)
    if said.missing("result", made.text):
        return Found("template_drops_result", "of the answer")
    for kind in ("call", "content"):
        if said.missing(kind, made.learned):
            return Found(f"template_drops_{kind}", "of the answer")
    if any(word in made.learned for word in said.of.get("result", ())):
        return Found("template_mismatch", "what a tool returned would be learned")
    return Found(reasoning_dropped=said.missing("reasoning", made.text))


PROMPT = {
    "tools": "template_drops_tools",
    "system": "template_drops_system",
    "result": "template_drops_result",
    "call": "template_drops_call",
    "content": "template_drops_content",
}


def _tool(tool: dict[str, Any], words: _Words) -> dict[str, Any]:
    return {**tool, "function": {**tool["function"], "name": words.new("tools")}}


def _message(message: dict[str, Any], words: _Words) -> dict[str, Any]:
    kind = {"tool": "result", "system": "system"}.get(message["role"], "content")
    out = {**message, "content": words.new(kind) if message["content"].strip() else message["content"]}
    if "reasoning_content" in message:
        out["reasoning_content"] = words.new("reasoning")
    if "tool_calls" in message:
        out["tool_calls"] = [_call(call, words) for call in message["tool_calls"]]
    return out


def _call(call: dict[str, Any], words: _Words) -> dict[str, Any]:
    arguments = call["function"].get("arguments")
    if isinstance(arguments, dict):
        arguments = dict(_argument(key, words) for key in arguments)
    elif isinstance(arguments, str):
        arguments = f'{{"q": "{words.new("call")}"}}'
    return {**call, "function": {**call["function"], "name": words.new("call"), "arguments": arguments}}


def _argument(key: str, words: _Words) -> tuple[str, str]:
    return key, words.new("call")
