"""A conversation as the text that a model's chat template makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from steps.shared.contract import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TemplateMismatch(Exception):
    """The chat template renders the prompt alone differently from the prompt before an answer."""


class TemplateRefused(Exception):
    """The chat template raised an error on a row's messages; the text is the template's."""


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    *,
    generation: bool = False,
) -> list[int]:
    """Token ids of the messages as the chat template writes them; with `generation`, up to where an answer begins.

    Raises:
        TemplateRefused: the template raises an error, such as on a role that it does not know.
    """
    from jinja2 import TemplateError

    # Typed to return a text, ids or a batch; with `tokenize` and `return_dict` it is the ids by name.
    write: Callable[..., Any] = tokenizer.apply_chat_template
    try:
        rendered = write(messages, tools=tools, add_generation_prompt=generation, tokenize=True, return_dict=True)
    except TemplateError as error:
        raise TemplateRefused(first_line(error)) from None
    return list(rendered["input_ids"])
