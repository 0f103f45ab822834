"""The tokenizer beside the adapter: the base's files, and the template that renders as in training by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.train.arguments import TrainArguments
from steps.train.results.tokenizer_files import copy_tokenizer
from tests.steps.shared.templates.kinds import ASK, TOOLS
from tests.steps.shared.templates.tokenizers import byte_level

SOURCE = "{% if mood %}{{ mood }} {% endif %}{% for m in messages %}{{ m.content }}</s>{% endfor %}"
SILENT = {"mood": "kind"}


def base(folder: Path, template: str | dict[str, str]) -> Path:
    tokenizer = byte_level(SOURCE)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def copied(folder: Path, output: Path, kwargs: dict[str, Any]) -> Any:
    """The tokenizer of what was copied, as transformers loads it."""
    from transformers import AutoTokenizer

    output.mkdir()
    arguments = TrainArguments(model_id=str(folder), chat_template_kwargs=kwargs)
    copy_tokenizer(arguments, AutoTokenizer.from_pretrained(folder), output)
    return AutoTokenizer.from_pretrained(output)


def test_without_settings_of_the_template_every_file_is_the_bases(tmp_path: Path) -> None:
    folder = base(tmp_path / "base", SOURCE)
    copied(folder, tmp_path / "out", {})
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "chat_template.jinja" in names
    assert all((tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes() for name in names)


@pytest.mark.parametrize("inline", [False, True])
def test_with_settings_the_folder_renders_as_in_training_without_being_given_them(tmp_path: Path, inline: bool) -> None:
    folder = base(tmp_path / "base", SOURCE)
    if inline:  # as older models have it
        (folder / "chat_template.jinja").unlink()
        config = folder / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": SOURCE}))
    found = copied(folder, tmp_path / "out", SILENT)
    assert ChatTemplate(found).text([ASK], None) == f"kind {ASK['content']}</s>"
    assert ChatTemplate(found, {"mood": "dry"}).text([ASK], None) == f"dry {ASK['content']}</s>"


def test_a_template_for_tools_has_the_settings_too(tmp_path: Path) -> None:
    folder = base(tmp_path / "base", {"default": SOURCE, "tool_use": "tools {{ mood }}"})
    found = copied(folder, tmp_path / "out", SILENT)
    assert ChatTemplate(found).text([ASK], TOOLS) == "tools kind"
    assert ChatTemplate(found).text([ASK], None).startswith("kind ")
