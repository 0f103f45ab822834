"""A token without an embedding is told before the weights are loaded, not by an IndexError in a step."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model.load import load_tokenizer
from steps.train.preflight.vocabulary import require_embedded
from steps.train.rows.tokenise import Pair


def pair(token: int) -> Pair:
    return Pair("row-7", [5, 6], [8, token], [1, 1], [9], [1], "chat", False)


@pytest.fixture
def arguments(tiny_model: Path, tmp_path: Path) -> TrainArguments:
    """Of the quickstart's tokenizer on a model that has eight embeddings fewer."""
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    tokens = len(load_tokenizer(TrainArguments(model_id=str(base))))
    (base / "config.json").write_text(json.dumps(config | {"vocab_size": tokens - 8}))
    return TrainArguments(model_id=str(base))


def test_a_row_whose_token_has_no_embedding_is_refused(
    arguments: TrainArguments, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = load_tokenizer(arguments)
    last = len(tokenizer) - 1
    with pytest.raises(StepError) as caught:
        require_embedded(arguments, tokenizer, [pair(7), pair(last)])
    message = f"the tokenizer has {last + 1} tokens, the model's embedding {last - 7} rows: row row-7 has token {last}"
    assert message in str(caught.value)
    with caplog.at_level(logging.WARNING):
        require_embedded(arguments, tokenizer, [pair(7)])
    assert "texts with one of the others cannot be used" in caplog.text


def test_a_tokenizer_that_fits_is_passed(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = TrainArguments(model_id=str(tiny_model))
    tokenizer = load_tokenizer(arguments)
    require_embedded(arguments, tokenizer, [pair(len(tokenizer) - 1)])
    assert not caplog.messages
