"""A base whose processor has a chat template of its own: refused with settings for the template, otherwise told."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model.load import load_tokenizer
from steps.train.model.processors_template import warn_of_other_template

SETTINGS = {"enable_thinking": False}


@pytest.fixture(params=["folder", "hub"])
def base(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a base, as a folder or in the hub's cache; its files are at `snapshot`."""
    if request.param == "folder":
        shutil.copytree(tiny_model, snapshot(tmp_path, "folder"))
        return str(snapshot(tmp_path, "folder"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    at = snapshot(tmp_path, "org/tiny")
    shutil.copytree(tiny_model, at)
    (at.parents[1] / "refs").mkdir()
    (at.parents[1] / "refs" / "main").write_text(at.name)
    return "org/tiny"


def snapshot(tmp_path: Path, name: str) -> Path:
    if "/" in name and not name.startswith("/"):
        return tmp_path / "hub" / "models--org--tiny" / "snapshots" / ("a" * 40)
    return tmp_path / "folder"


@pytest.mark.parametrize("name", ["processor_config.json", "chat_template.json"])
def test_it_is_refused_with_settings_and_told_without(
    base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    plain = TrainArguments(model_id=base)
    asked = plain.model_copy(update={"chat_template_kwargs": SETTINGS})
    file = snapshot(tmp_path, base) / name
    tokenizer = load_tokenizer(asked)
    warn_of_other_template(plain, tokenizer)
    file.write_text(json.dumps({"chat_template": tokenizer.chat_template}))
    warn_of_other_template(plain, tokenizer)
    assert caplog.messages == []  # none, or the same

    file.write_text(json.dumps({"chat_template": "{{ messages }}"}))
    with pytest.raises(StepError, match=f"^chat_template_kwargs: .*{name} has a chat template of its own"):
        load_tokenizer(asked)
    with caplog.at_level(logging.WARNING):
        warn_of_other_template(plain, load_tokenizer(plain))
    (said,) = caplog.messages
    assert f"{name} has a chat template of its own, other than the tokenizer's" in said
