"""What a model's folder lacks, told from its files' names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.shared.model_folder import (
    ProcessorsTemplate,
    check_folder,
    not_the_tokenizers,
    not_with_settings,
    own_template,
)


def test_a_processors_template_is_none_of_the_tokenizers(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(StepError, match=r"no chat template; .*a chat_template\.json is the processor's alone"):
        check_folder(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    check_folder(tmp_path)


@pytest.mark.parametrize("name", ["processor_config.json", "chat_template.json"])
def test_a_template_of_the_processor_is_found_where_there_is_one(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    for nothing in ({"size": 56}, {"chat_template": None}, ["chat_template"]):
        file.write_text(json.dumps(nothing))
        assert own_template([file]) is None
    file.write_text(json.dumps({"chat_template": "{{ messages }}"}))
    own = own_template([file])
    assert own == ProcessorsTemplate(file, "{{ messages }}")
    assert not_with_settings(own).startswith(f"chat_template_kwargs: {file} has a chat template of its own, which a ")
    assert not_the_tokenizers(own).startswith(f"{file} has a chat template of its own, other than the tokenizer's")
