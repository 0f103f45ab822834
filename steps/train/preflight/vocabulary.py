"""Whether the model has an embedding for every token of the rows; before any weight is loaded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.shared.weights.whole_names import too_many_tokens
from steps.train.arguments import TrainArguments
from steps.train.model.base_config import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from steps.train.rows.tokenise import Pair

log = logging.getLogger(__name__)


def require_embedded(arguments: TrainArguments, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> None:
    """A tokenizer that knows more tokens than the model is allowed as long as no row has one of them: Gemma 3's does.

    Raises:
        StepError: a row, or the padding, has a token without an embedding.
    """
    rows = getattr(read_config(arguments).get_text_config(), "vocab_size", None)
    if rows is None:
        return
    highest = {pair.id: max(*pair.prompt_ids, *pair.chosen_ids, *pair.rejected_ids) for pair in pairs}
    row = max(highest, key=lambda id: highest[id])
    where, token = f"row {row} has", highest[row]
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id > token:
        where, token = "the padding is", tokenizer.pad_token_id
    if token >= rows:
        which = f"{where} token {token} ({tokenizer.convert_ids_to_tokens(token)!r})"
        raise StepError(f"{arguments.model_id}: {too_many_tokens(len(tokenizer), rows, which)}")
    if len(tokenizer) > rows:
        log.warning(
            "the tokenizer has %d tokens, the model's embedding %d rows: texts with one of the others cannot be used",
            len(tokenizer), rows,
        )  # fmt: skip
