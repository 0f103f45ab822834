"""A base whose processor has a chat template of its own (older multimodal ones): a server may take it instead of the
tokenizer's, which is trained with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from steps.shared.contract import StepError
from steps.shared.hub import is_hub_name
from steps.shared.model_folder import (
    PROCESSOR_TEMPLATES,
    ProcessorsTemplate,
    not_the_tokenizers,
    not_with_settings,
    own_template,
)
from steps.train.arguments import TrainArguments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def refuse_with_settings(arguments: TrainArguments) -> None:
    """
    Raises:
        StepError: the recipe has settings for the template, and a server would take the processor's, without them.
    """
    if arguments.chat_template_kwargs and (own := processors_template(arguments)):
        raise StepError(not_with_settings(own))


def warn_of_other_template(arguments: TrainArguments, tokenizer: PreTrainedTokenizerBase) -> None:
    """Say it where a server would take another template than the tokenizer's, which is trained with."""
    if (own := processors_template(arguments)) and own.text != tokenizer.chat_template:
        log.warning("%s", not_the_tokenizers(own))


def processors_template(arguments: TrainArguments) -> ProcessorsTemplate | None:
    """The chat template that a multimodal base's processor has of its own; of a hub model its files of the processor
    are looked up as transformers does, in the hub's cache or on the hub."""
    if is_hub_name(arguments.model_id):
        files = [_hub_file(arguments, name) for name in PROCESSOR_TEMPLATES]
    else:
        files = [Path(arguments.model_id) / name for name in PROCESSOR_TEMPLATES]
    return own_template(file for file in files if file and file.is_file())


def _hub_file(arguments: TrainArguments, name: str) -> Path | None:
    from transformers.utils import cached_file

    found = cached_file(
        arguments.model_id, name, revision=arguments.model_revision, _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )  # fmt: skip
    return Path(found) if found else None
