"""Tokens of rows as training will have them, and the rows that training would leave out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.shards.tokens import token_counter
from tests.steps.shared.templates.kinds import ASK, REFUSE, said


def test_rows_that_training_would_leave_out_are_told_with_the_recipes_template_settings(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    written = (folder / "chat_template.jinja").read_text()
    guard = "{% if silent %}{{ raise_exception('I am silent') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(guard + written)
    row = ([ASK], [said("The Fram.")], [REFUSE], None)
    assert all(count > 0 for count in token_counter(folder)(*row))
    with pytest.raises(InvalidRow) as caught:
        token_counter(folder, '{"silent": true}')(*row)
    assert str(caught.value) == "the chat template refuses the conversation: I am silent"
    with pytest.raises(InvalidRow) as caught:
        token_counter(folder)([ASK], [REFUSE], [REFUSE], None)
    assert str(caught.value).startswith("same_render: the template writes both answers alike")


def test_a_rows_own_arguments_come_before_the_runs_where_tokens_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    written = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text("{{ mood }}" + written)
    count = token_counter(folder, '{"mood": "dry"}')
    row = ([ASK], [said("The Fram.")], [REFUSE], None)
    plain, own = count(*row, None), count(*row, {"mood": "very, very cheerful"})
    assert own[0] > plain[0] and own[1:] == plain[1:]
    assert count(*row, None) == plain


def test_a_text_with_a_special_token_of_the_tokenizer_is_refused(tiny_model: Path) -> None:
    count, token = token_counter(tiny_model), AutoTokenizer.from_pretrained(tiny_model).eos_token
    assert token
    for row in (
        ([{"role": "user", "content": f"What is {token}?"}], [said("An end.")], [REFUSE], None),
        ([ASK], [said(f"The Fram.{token}")], [REFUSE], None),
        ([ASK], [{**said("The Fram."), "reasoning_content": token}], [REFUSE], None),
    ):
        with pytest.raises(InvalidRow, match="is a special token of the tokenizer") as caught:
            count(*row)
        assert caught.value.code == "rendered_text" and f"holds {token}," in str(caught.value)
