"""A question and its answer in the chat-completions form, as an endpoint would have been asked and answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steps.shared.calls.call import Call
from steps.shared.calls.parsers import parse
from steps.shared.records import Messages, Tools
from steps.shared.serving import parser_for


def parser_of(tokenizer: Path) -> str | None:
    """The parser of calls for a model with this chat template; None where the template does not tell."""
    from transformers import AutoTokenizer

    template = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False).chat_template
    return parser_for("", template if isinstance(template, str) else None)


def exchange(messages: Messages, tools: Tools, text: str, *, cut: bool, parser: str | None) -> dict[str, Any]:
    """`request` and `reply`, the answer's calls as calls where the parser reads them.

    Args:
        messages: the conversation so far, with the arguments of calls as objects.
        text: with the special tokens that stand in it.
        cut: the answer ended where its tokens were used up.
    """
    found = parse(parser, text, tools) if parser and tools else None
    message: dict[str, Any] = {"role": "assistant", "content": text}
    ended = "length" if cut else "stop"
    if found and found.calls:
        message = {"role": "assistant", "content": found.content or None, "tool_calls": list(map(_call, found.calls))}
        ended = "length" if cut else "tool_calls"
    request = {"messages": list(map(_asked, messages)), **({"tools": tools} if tools else {})}
    return {"request": request, "reply": {"choices": [{"index": 0, "message": message, "finish_reason": ended}]}}


def _asked(message: dict[str, Any]) -> dict[str, Any]:
    """A message with the arguments of its calls as a text, which they are in a request."""
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _call(call: Call) -> dict[str, Any]:
    return {"type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
