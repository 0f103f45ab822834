"""Rows whose chosen answer calls tools, and what real chat templates make of them: what a model would write."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from steps.shared.calls.call import Call
from steps.shared.serving import parser_for
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import render_pair
from steps.shared.templates.refused import RowRefused
from tests.steps.shared.templates.exam import trl_sources
from tests.steps.shared.templates.tokenizers import BAR, byte_level

Message = dict[str, Any]
STOPS = ("<|im_end|>", "<|eot_id|>", "<|call|>", "<turn|>", "<|observation|>", f"<{BAR}end\u2581of\u2581sentence{BAR}>")
ASK = {"role": "user", "content": "Which ship is in Oslo?"}
REFUSE = {"role": "assistant", "content": "I cannot know that."}
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@cache
def templates() -> dict[str, tuple[str, ChatTemplate]]:
    """Name of each of TRL's templates that writes calls in a known form -> the form's parser, and the template."""
    moment = datetime(2026, 1, 2)
    return {
        name: (parser, ChatTemplate(byte_level(source), {}, moment))
        for name, source in trl_sources().items()
        if not name.endswith("_training") and (parser := parser_for("unnamed", source))
    }


def tools_for(*calls: Call) -> list[Message]:
    """Declarations whose schemas the calls fit."""
    return [tool(call.name, {key: schema_of(value) for key, value in call.arguments.items()}) for call in calls]


def tool(name: str, properties: dict[str, Any], **more: Any) -> Message:
    schema = {"type": "object", "properties": properties, **more}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": schema}}


def schema_of(value: Any) -> dict[str, Any]:
    return {"type": TYPES[type(value)]} if type(value) in TYPES else {"type": ["string", "null"]}


def message(*calls: Call, content: str = "") -> Message:
    made = [{"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in calls]
    return {"role": "assistant", "content": content, "tool_calls": made}


def written(template: ChatTemplate, tools: list[Message], *calls: Call, content: str = "") -> str:
    """What a model writes that makes these calls, up to the token that ends it; it reasons where the prompt asks it to.

    Raises:
        RowRefused: the template does not write them.
    """
    declared: list[Message] | None = tools
    answer = message(*calls, content=content)
    for _ in range(3):
        try:
            text = _learned(template, declared, answer)
            break
        except RowRefused as error:
            if error.reason == "template_opens_reasoning":
                answer = {**answer, "reasoning_content": "They ask about Oslo."}
            elif error.reason == "template_drops_tools":  # DeepSeek's, which leaves them to the system's turn
                declared = None
            else:
                raise
    for stop in STOPS:
        text = text.removesuffix(stop)
    return text


def _learned(template: ChatTemplate, tools: list[Message] | None, answer: Message) -> str:
    refused = {**REFUSE, **{key: answer[key] for key in answer if key == "reasoning_content"}}
    return render_pair(template, [ASK], [answer], [refused], tools).chosen.learned.rstrip()
