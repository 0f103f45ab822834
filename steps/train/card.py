"""The Hugging Face model card of a trained adapter: README.md in its folder.

Holds facts of the run only, and no text of any row. What it says is decided here; how it reads, in card.md.jinja. What
comes from the user, such as names of layouts, is printed as code, where Markdown means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.contract import write_text
from steps.hub import is_hub_name
from steps.pages.template import number, share
from steps.pages.visible import name

if TYPE_CHECKING:
    from steps.train.report import Sources

CARD = "README.md"
ARGUMENTS = (
    "loss_type", "loss_weights", "beta", "label_smoothing", "learning_rate", "lr_scheduler_type", "warmup_steps",
    "num_train_epochs", "max_steps", "max_length", "truncation", "lora_r", "lora_alpha", "lora_dropout", "use_rslora",
    "target_modules", "load_in_4bit", "bf16", "seed",
)  # fmt: skip


def write(
    folder: Path,
    evaluation: Mapping[str, Any],
    arguments: Mapping[str, Any],
    sources: Sources,
    training: Mapping[str, int],
    versions: Mapping[str, str],
) -> None:
    """Write the card, whole or not at all.

    Args:
        evaluation: what evaluation.json holds.
        training: optimizer steps done (`steps`) and pairs in each of them (`pairs`).
        versions: library -> version.
    """
    write_text(folder / CARD, render(evaluation, arguments, sources, training, versions))


def render(
    evaluation: Mapping[str, Any],
    arguments: Mapping[str, Any],
    sources: Sources,
    training: Mapping[str, int],
    versions: Mapping[str, str],
) -> str:
    """The card's text, its metadata first."""
    import jinja2
    from huggingface_hub import ModelCard, ModelCardData

    base = arguments["base_model_name"] or arguments["model_id"]
    # The hub takes no other names; a folder or a prefix in S3 stands in the text alone.
    on_hub = {"base_model": base, "base_model_relation": "adapter"} if is_hub_name(base) else {}
    metadata = ModelCardData(
        library_name="peft", pipeline_tag="text-generation", tags=["dpo", "trl", "lora"], **on_hub
    )  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "share": share, "code": code}
    text = environment.get_template("card.md.jinja").render(
        metadata=metadata.to_yaml(),
        base=base,
        on_hub=bool(on_hub),
        revision=arguments["model_revision"] if is_hub_name(arguments["model_id"]) else None,
        initial_adapter=sources.initial_adapter,
        before=evaluation["before"],
        after=evaluation["after"],
        splits=evaluation["tokenised"],
        report=sources.report,
        arguments={key: _argument(arguments[key]) for key in ARGUMENTS if arguments[key] is not None},
        quantised=arguments["load_in_4bit"],
        training=training,
        versions=versions,
    )
    return str(ModelCard(text))


def code(text: str) -> str:
    """Someone's text as Markdown code on one line, also within a table: a fence longer than any run of ` in it."""
    shown = name(text).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown else f"`{shown}`"


def _argument(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
