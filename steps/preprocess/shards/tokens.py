"""How many tokens a row has once the model's chat template has written it, tools and all.

Slow: to count the tokens of one row takes about as long as all other work on a hundred rows.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.shards.convert import CountTokens, Lengths
from steps.shared.chat_template import render
from steps.shared.contract import StepError, first_line
from steps.shared.records import Messages, Tools


@lru_cache(1)
def token_counter(folder: Path) -> CountTokens:
    """A function that counts a row's tokens: of the prompt, and of each answer as it follows the prompt.

    Raises:
        StepError: there is no usable tokenizer in the folder, or it has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise StepError(f"--tokenizer {folder}: cannot be loaded: {first_line(error)}") from None
    if tokenizer.chat_template is None:
        raise StepError(f"--tokenizer {folder}: it has no chat template; give the tokenizer of a chat model")

    tokenizer.model_max_length = sys.maxsize  # else transformers warns of rows that are longer, which is ours to judge

    def count(prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools) -> Lengths:
        try:
            asked = len(render(tokenizer, prompt, tools, generation=True))
            answers = [len(render(tokenizer, prompt + answer, tools)) for answer in (chosen, rejected)]
        except Exception as error:  # templates raise what they like: jinja2's errors, or any that its filters make
            raise InvalidRow(
                Reason.TEMPLATE_ERROR, f"the chat template refuses the conversation: {first_line(error)}"
            ) from None
        return asked, max(answers[0] - asked, 0), max(answers[1] - asked, 0)

    return count
