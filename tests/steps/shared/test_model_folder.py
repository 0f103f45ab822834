"""What a model's folder lacks, told from its files' names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steps.shared.contract import StepError
from steps.shared.model_folder import check_folder, refuse_processors_template


def test_a_processors_template_is_none_of_the_tokenizers(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(StepError, match=r"no chat template; .*a chat_template\.json is the processor's alone"):
        check_folder(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    check_folder(tmp_path)


@pytest.mark.parametrize("name", ["processor_config.json", "chat_template.json"])
def test_settings_of_the_template_do_not_go_with_a_processors_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps({"size": 56}))
    refuse_processors_template(tmp_path)
    (tmp_path / name).write_text(json.dumps({"chat_template": "{{ messages }}"}))
    with pytest.raises(StepError, match=f"chat_template_kwargs: .*{name} has a chat template of its own"):
        refuse_processors_template(tmp_path)
