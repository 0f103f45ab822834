"""Make the quickstart's base model: a chat model of about a million parameters, on this machine, in half a minute.

    python -m steps.quickstart.tiny_model --output DIR [--data FILE]

Trains a byte-level tokenizer on the sample data, builds a Qwen2 model and teaches it the sample's conversations, right and
wrong answers alike, so that it can talk but prefers nothing yet. Nothing is downloaded. It is a stand-in that makes a whole
pipeline run affordable without a GPU: it knows the sample's few tools and nothing else.

The folder appears at once when it is finished; a rerun with the same data and code reuses it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from steps import contract

DATA = Path(__file__).with_name("preferences.jsonl")
MANIFEST = "manifest.json"
SEED = 20
VOCABULARY = 2048
HIDDEN = 128
LAYERS = 3
CONTEXT = 4096
STEPS = 150
BATCH = 32
PEAK_LEARNING_RATE = 4e-3
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TOOL_CALL = re.compile(r"^<TOOLCALL>(.*)</TOOLCALL>$", re.DOTALL)

TEMPLATE = """\
{%- set system = messages[0]['content'] if messages and messages[0]['role'] == 'system' else '' %}
{%- if system or tools %}
{{- '<|im_start|>system\\n' + system }}
{%- if tools %}
{{- ('\\n\\n' if system else '') + 'Tools:' }}
{%- for tool in tools %}
{%- set function = tool.function if tool.function is defined else tool %}
{%- set properties = (function.parameters or {})['properties'] or {} %}
{{- '\\n' + function.name + '(' + (properties | join(', ')) + '): ' + (function.description or '') }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- elif not (loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for tool_call in message.tool_calls or [] %}
{%- set call = tool_call.function if tool_call.function is defined else tool_call %}
{{- '\\n' if message.content or not loop.first }}
{{- '<tool_call>\\n{"name": ' + (call.name | tojson) + ', "arguments": ' }}
{{- (call.arguments if call.arguments is string else call.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def answer(response: dict[str, str]) -> dict[str, Any]:
    """An answer of the sample as a chat message; a call written as text becomes `tool_calls`."""
    found = TOOL_CALL.match(response["content"])
    if not found:
        return response
    calls = [{"type": "function", "function": call} for call in json.loads(found[1])]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def read_rows(data: Path) -> list[dict[str, Any]]:
    """The sample's rows.

    Raises:
        StepError: the file is missing, or a line is not such a row.
    """
    try:
        lines = data.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise contract.StepError(f"{data}: the sample data is missing; pass --data FILE") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            tools = [{"type": "function", "function": json.loads(tool)} for tool in row["tools"]]
            answers = [answer(row[side]) for side in ("chosen_response", "rejected_response")]
            rows.append({"tools": tools, "messages": row["messages"], "answers": answers})
        except (ValueError, KeyError, TypeError) as error:
            raise contract.StepError(
                f"{data}: line {number} is no row of tools, messages, chosen_response and rejected_response: {error!r}"
            ) from None
    return rows


def blank_tokenizer() -> Any:
    """Qwen2's tokenizer with the chat template and no words yet.

    Its own class, not a free composition: AutoTokenizer takes that class for a Qwen2 model whatever the folder says, and
    would split text otherwise than it was trained.
    """
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer(
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[START],
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
    )
