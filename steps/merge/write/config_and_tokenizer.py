"""The files besides weights that make a model folder: configuration, tokenizer, chat template, each from one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.merge.fit import base as base_model
from steps.merge.fit.adapter import Adapter
from steps.merge.fit.base import Base
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.model_folder import (
    PROCESSOR_FILES,
    PROCESSOR_TEMPLATES,
    TEMPLATE_FILES,
    TOKENIZER_FILES,
    ProcessorsTemplate,
    own_template,
)

VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)


def config_and_tokenizer(base: Base, adapter: Adapter) -> dict[str, Path]:
    """Everything but the weights: configuration and processors from the base, tokenizer and chat template as they were
    trained with.

    A tokenizer is taken whole from one folder: two folders' files mixed could load and be wrong. The same holds for
    templates, which come with the adapter's tokenizer wherever it has one (a template can be inside its config).

    Raises:
        StepError: neither folder has a tokenizer.
    """
    own = _matching(adapter.folder, TOKENIZER_FILES)
    own_tokenizer = any(name in own for name in VOCABULARIES)
    tokenizer = own if own_tokenizer else _matching(base.folder, TOKENIZER_FILES)
    if not any(name in tokenizer for name in VOCABULARIES):
        raise StepError(
            f"{base.folder}: no tokenizer there or in {adapter.folder}: tokenizer.json is missing; "
            "save the tokenizer beside the base"
        )
    templates = _matching(adapter.folder, TEMPLATE_FILES)
    if not templates and not own_tokenizer:
        templates = _matching(base.folder, TEMPLATE_FILES)
    if "chat_template.jinja" not in templates:  # with it, the processor's own would be another one
        templates |= _matching(base.folder, ("chat_template.json",))
    configs = _matching(base.folder, (base_model.CONFIG, "generation_config.json", *PROCESSOR_FILES))
    sharded = base.shards[0].path.name != base_model.SINGLE
    index = {base_model.INDEX: base.folder / base_model.INDEX} if sharded else {}
    return configs | index | tokenizer | templates


def other_template(files: dict[str, Path]) -> ProcessorsTemplate | None:
    """The processor's template among a merged model's files, where it is not the tokenizer's.

    Raises:
        StepError: a configuration is not JSON.
    """
    own = own_template(files[name] for name in PROCESSOR_TEMPLATES if name in files)
    return own if own and own.text != _tokenizers_template(files) else None


def _tokenizers_template(files: dict[str, Path]) -> Any:
    if "chat_template.jinja" in files:
        return files["chat_template.jinja"].read_text(encoding="utf-8")
    config = files.get("tokenizer_config.json")
    content = contract.read_json(config, "the tokenizer's configuration") if config else None
    return content.get("chat_template") if isinstance(content, dict) else None


def _matching(folder: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for pattern in patterns for path in sorted(folder.glob(pattern))}
