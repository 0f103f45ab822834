"""A folder that should hold a model: what is missing, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from steps.shared import contract
from steps.shared.contract import StepError

CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")


NO_TEMPLATE = (
    "the tokenizer has no chat template; use an instruct model, or put chat_template.jinja beside tokenizer_config.json"
)


def check_folder(folder: Path) -> None:
    """What can be told of a model folder from its file names, before anything reads it.

    Raises:
        StepError: it is not a model, or has no tokenizer or chat template.
    """
    if not (folder / "config.json").is_file():
        raise StepError(f"{folder}: not a model folder: config.json is missing")
    if not any(folder.glob("*.safetensors")):
        raise StepError(f"{folder}: no weights: expected *.safetensors")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise StepError(f"{folder}: no tokenizer: tokenizer.json is missing; save the tokenizer beside the model")
    config = folder / "tokenizer_config.json"
    inline = config.is_file() and "chat_template" in contract.read_json(config, "the tokenizer's configuration")
    if not inline and not any((folder / name).exists() for name in CHAT_TEMPLATES):
        raise StepError(f"{folder}: {NO_TEMPLATE}")
