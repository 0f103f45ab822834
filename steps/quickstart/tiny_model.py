"""Make the quickstart's base model: a chat model of half a million parameters, on this machine, in half a minute.

    python -m steps.quickstart.tiny_model --output DIR [--data FILE]

Trains a byte-level tokenizer on the sample data, builds a Qwen2 model and teaches it the sample's conversations, right
and wrong answers alike, so that it can talk but prefers nothing yet, and to copy what a call needs from the question
(`lessons.py`). Nothing is downloaded. It is a stand-in that makes a whole pipeline run affordable without a GPU: it
knows the sample's few tools and names and nothing else.

The folder appears under its name when it is finished; a rerun with the same data and code reuses it.
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

from steps.shared import contract
from steps.shared.libraries.lean import uncollected

DATA = Path(__file__).with_name("preferences.jsonl")
MANIFEST = "manifest.json"
MADE_BY = "steps.quickstart.tiny_model"  # key of the manifest: only a folder that has it is ever replaced
VOCABULARY = 2048  # an upper bound: the sample's words run out before
HIDDEN = 128  # this and the sizes below: whole NF4 blocks of 64, and halves for two ranks
LAYERS = 2
CONTEXT = 4096
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


def as_message(response: dict[str, str]) -> dict[str, Any]:
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
            answers = [as_message(row[side]) for side in ("chosen_response", "rejected_response")]
            rows.append({"tools": tools, "messages": row["messages"], "answers": answers})
        except (ValueError, KeyError, TypeError) as error:
            raise contract.StepError(
                f"{data}: line {number} is no row of tools, messages, chosen_response and rejected_response: {error!r}"
            ) from None
    return rows


def blank_tokenizer() -> Any:
    """Qwen2's tokenizer with the chat template and no words yet.

    Its own class, not a free composition: AutoTokenizer takes that class for a Qwen2 model whatever the folder says,
    and would split text otherwise than it was trained.
    """
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer(
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[START],
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
    )


def build(rows: list[dict[str, Any]], folder: Path) -> None:
    """Train tokenizer and model and save them into `folder`."""
    print("tiny model: being made, once; half a minute on a free core", flush=True)
    with uncollected():
        import torch
        from transformers import Qwen2Config, Qwen2ForCausalLM
        from transformers.utils import logging as transformers_logging

        from steps.quickstart.pretrain import SEED, STEPS, pretrain, words_apart

    blank = blank_tokenizer()
    texts = [
        blank.apply_chat_template([*row["messages"], answer], tools=row["tools"], tokenize=False)
        for row in rows
        for answer in row["answers"]
    ]
    pieces = (piece for text in texts for piece in words_apart(text))
    tokenizer = blank.train_new_from_iterator(pieces, VOCABULARY, show_progress=False)
    config = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.set_num_threads(1)  # of an operation: two wait for each other beside other work, ten times slower
    torch.manual_seed(SEED)
    model = Qwen2ForCausalLM(config)
    started = time.monotonic()
    loss = pretrain(model, tokenizer, rows)
    print(
        f"tiny model: {model.num_parameters():,} parameters, {len(tokenizer)} tokens, "
        f"{STEPS} steps in {time.monotonic() - started:.0f} s, loss {loss:.2f}",
        flush=True,
    )
    transformers_logging.disable_progress_bar()  # of one file that takes no time
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def ensure(output: Path, data: Path = DATA) -> bool:
    """Make the model in `output` unless it is already there; returns whether it was made.

    Raises:
        StepError: the data is unusable, or `output` holds something else.
    """
    rows = read_rows(data)
    code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    recipe = hashlib.sha256(data.read_bytes() + code).hexdigest()
    manifest = output / MANIFEST
    found = contract.read_json(manifest, "the model's manifest") if manifest.is_file() else {}
    if found.get(MADE_BY) == recipe:
        return False
    if MADE_BY not in found and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise contract.StepError(f"{output}: holds something else than a tiny model; name an empty or a new folder")
    beside = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    beside.mkdir(parents=True)
    try:
        build(rows, beside)
        contract.write_json(beside / MANIFEST, {MADE_BY: recipe})
        shutil.rmtree(output, ignore_errors=True)
        beside.rename(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="model folder to make")
    parser.add_argument("--data", type=Path, default=DATA, help="preference data to learn its words from")
    arguments = parser.parse_args()
    made = ensure(arguments.output, arguments.data)
    print(f"{arguments.output}: {'made' if made else 'there already'}", flush=True)


if __name__ == "__main__":
    sys.exit(contract.run(main))
