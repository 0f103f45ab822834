"""The Hugging Face model card of a trained adapter: README.md in its folder.

What it says is in `facts`; how it reads, in card.md.jinja. What comes from the user, such as names of layouts, is
printed as code, where Markdown means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared.contract import write_text
from steps.shared.pages.template import number, share
from steps.shared.pages.visible import name
from steps.train.results.facts import Facts

if TYPE_CHECKING:
    import jinja2

CARD = "README.md"
DASH = "\N{EN DASH}"


def write(folder: Path, facts: Facts) -> None:
    """Write the card, whole or not at all."""
    write_text(folder / CARD, render(facts))


def render(facts: Facts) -> str:
    """The card's text, its metadata first."""
    from huggingface_hub import ModelCard, ModelCardData

    # The metadata takes names on the hub only; a folder or a prefix in S3 is named in the text.
    metadata = ModelCardData(
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["dpo", "trl", "lora"],
        base_model=facts.base if facts.on_hub else None,
        base_model_relation="adapter" if facts.on_hub else None,
    )
    return str(ModelCard(template().render(metadata=metadata.to_yaml(), **vars(facts))))


@cache
def template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "share": share, "code": code, "part": part, "interval": interval}
    return environment.get_template("card.md.jinja")


def part(found: Mapping[str, Any]) -> str:
    """A share as a section of answers has it; a dash where it is of nothing."""
    return DASH if found["share"] is None else share(found["share"])


def interval(found: Mapping[str, Any]) -> str:
    """Its 95 % interval."""
    return DASH if found["low"] is None else f"{share(found['low'])} {DASH} {share(found['high'])}"


def code(text: str) -> str:
    """Someone's text as Markdown code on one line, also within a table: a fence longer than any run of ` in it."""
    shown = name(text).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown else f"`{shown}`"
