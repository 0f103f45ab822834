"""A chat template that renders by itself as it does with a recipe's `chat_template_kwargs`.

For servers that pass a template nothing but messages and tools. A caller who does pass one of the settings wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

# What Jinja reads as something else than a variable, besides what Python does too (`not`, `for`); and what Jinja and
# transformers give every template.
NOT_NAMES = {"true", "false", "none", "self", "loop", "super", "caller"} | {
    "namespace", "range", "dict", "cycler", "joiner", "lipsum", "strftime_now", "raise_exception",
}  # fmt: skip


def is_variable(name: str) -> bool:
    """Whether a template can read a setting of this name."""
    return name.isidentifier() and not iskeyword(name) and name not in NOT_NAMES


def with_defaults(source: str, kwargs: Mapping[str, Any]) -> str:
    """The template with values for the names that it is not given.

    Args:
        kwargs: JSON values by names of variables; Python's literals of them are Jinja's too.
    """
    given = [f"{{%- set {name} = {name} if {name} is defined else {value!r} %}}\n" for name, value in kwargs.items()]
    return "".join(given) + source
