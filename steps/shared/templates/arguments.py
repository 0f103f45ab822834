"""What may stand in `chat_template_kwargs`, a recipe's or a row's: names that are free, and that templates can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.shared.templates.defaults import is_variable

# What rendering itself gives to a chat template, or to the function that renders.
RENDERS = {
    "add_generation_prompt", "bos_token", "chat_template", "cls_token", "continue_final_message", "conversation",
    "documents", "eos_token", "mask_token", "max_length", "messages", "pad_token", "padding",
    "return_assistant_tokens_mask", "return_dict", "return_tensors", "sanitize_control_tokens", "sep_token", "tokenize",
    "tokenizer_kwargs", "tools", "truncation", "unk_token",
}  # fmt: skip


def fault(arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the names of such arguments, as a sentence; None where nothing is."""
    taken = sorted(RENDERS & arguments.keys())
    if taken:
        return f"{', '.join(taken)}: is set by the training itself; leave it out"
    unreadable = next((name for name in arguments if not is_variable(name)), None)
    if unreadable is not None:
        return f"{unreadable}: no template can read it: it is no variable's name"
    return None
