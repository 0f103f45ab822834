"""How many tokens a row has once the model's chat template has written it, tools and all.

Slow: to count the tokens of one row takes about as long as all other work on a hundred rows.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.shards.record import CountTokens, Lengths
from steps.shared.contract import StepError
from steps.shared.model_folder import read_by_library
from steps.shared.records import Messages, TemplateArguments, Tools
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import render_pair
from steps.shared.templates.refused import MEANINGS, RowRefused
from steps.shared.templates.token_ids import pair_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@lru_cache(1)
def token_counter(folder: Path, chat_template_kwargs: str = "{}") -> CountTokens:
    """A function that counts a row's tokens: of the prompt, and of each answer as it follows the prompt, as Train will.

    A row that Train would leave out for what its template makes of it is invalid.

    Args:
        chat_template_kwargs: a JSON object, what the template may ask for besides; the recipe's. A row's own, the
            function's last argument, come before them.

    Raises:
        StepError: there is no usable tokenizer in the folder, or it has no chat template.
    """
    from transformers import AutoTokenizer

    with read_by_library(f"--tokenizer {folder}: cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.chat_template is None:
        raise StepError(f"--tokenizer {folder}: it has no chat template; give the tokenizer of a chat model")

    template = ChatTemplate(tokenizer, json.loads(chat_template_kwargs), datetime.now(UTC))
    marks = _special_tokens(tokenizer)
    tokenizer.model_max_length = sys.maxsize  # else transformers warns of rows that are longer, which is ours to judge

    def count(
        prompt: Messages, chosen: Messages, rejected: Messages, tools: Tools, arguments: TemplateArguments = None
    ) -> Lengths:
        for message in (*prompt, *chosen, *rejected):
            said = message["content"] + message.get("reasoning_content", "")
            if marks and (found := marks.search(said)):
                raise InvalidRow(
                    Reason.RENDERED_TEXT,
                    f"a text by the {message['role']} holds {found[0]}, which is a special token of the tokenizer",
                )
        try:
            own = template.given(arguments)
            ids = pair_ids(own, render_pair(own, prompt, chosen, rejected, tools))
        except RowRefused as error:
            said = str(error)
            if error.reason == "template_refused":
                raise InvalidRow(Reason.TEMPLATE_ERROR, f"the chat template refuses the conversation: {said}") from None
            raise InvalidRow(Reason.TEMPLATE_ERROR, f"{error.reason}: {MEANINGS[error.reason]} ({said})") from None
        return len(ids.prompt), len(ids.chosen), len(ids.rejected)

    return count


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    """Finds in a text what the tokenizer would take for a token that steers the model; None without such tokens."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    tokens = sorted(set(filter(None, [*added, *map(str, tokenizer.all_special_tokens)])))
    return re.compile("|".join(map(re.escape, tokens))) if tokens else None
