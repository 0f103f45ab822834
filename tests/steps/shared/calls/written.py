"""Rows whose chosen answer calls tools, and what real chat templates make of them: what a model would write."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from steps.quickstart.tiny_model import TEMPLATE
from steps.shared.calls.call import Call
from steps.shared.serving import parser_for
from steps.shared.templates.calls import in_some_form
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import render_pair
from tests.steps.shared.templates.exam import trl_sources
from tests.steps.shared.templates.tokenizers import BAR, byte_level

Message = dict[str, Any]
STOPS = ("<|im_end|>", "<|eot_id|>", "<|call|>", "<turn|>", "<|observation|>", f"<{BAR}end\u2581of\u2581sentence{BAR}>")
DEEPSEEK = f"<{BAR}Assistant{BAR}>"
NO_CALLS = "deepseek_r1_distill"  # knows calls, and leaves those out whose message says nothing beside them
ASK = {"role": "user", "content": "Which ship is in Oslo?"}
REFUSE = {"role": "assistant", "content": "I cannot know that."}
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@cache
def templates() -> dict[str, tuple[str, ChatTemplate]]:
    """Name of each template that writes calls in a known form -> the form's parser, and the template: TRL's, and that
    of the quickstart's model."""
    moment = datetime(2026, 1, 2)
    sources = {**trl_sources(), "quickstart": TEMPLATE}
    return {
        name: (parser, ChatTemplate(byte_level(source), {}, moment))
        for name, source in sources.items()
        if not name.endswith("_training") and name != NO_CALLS and (parser := parser_for("unnamed", source))
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
    """What a model writes that makes these calls, up to the token that ends it.

    Raises:
        RowRefused: the template does not write them.
    """
    answer = message(*calls, content=content)
    if DEEPSEEK in template.source:  # it reasons in the prompt, and then drops the reasoning
        whole = in_some_form(template, [[ASK], [answer]], lambda forms: template.text([*forms[0], *forms[1]], None))
        text = whole.rpartition(DEEPSEEK)[2]
    else:
        text = render_pair(template, [ASK], [answer], [REFUSE], tools).chosen.learned
    text = text.rstrip()
    for stop in STOPS:
        text = text.removesuffix(stop)
    return text
