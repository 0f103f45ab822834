"""The facts of a training run that its model cards tell, collected once: nothing of them is the text of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steps.shared.hub import is_hub_name

if TYPE_CHECKING:
    from steps.train.origin import Origin

ARGUMENTS = (
    "loss_type", "loss_weights", "beta", "label_smoothing", "learning_rate", "lr_scheduler_type", "warmup_steps",
    "num_train_epochs", "max_steps", "max_length", "truncation", "lora_r", "lora_alpha", "lora_dropout", "use_rslora",
    "target_modules", "load_in_4bit", "bf16", "seed",
)  # fmt: skip
NOT_TESTED = (
    "Other data, tasks and languages than those of the held-out rows; what the base could do before and may have lost.",
    "Safety, bias and truthfulness of answers.",
)
NOT_SAID = "Text that the model writes: every figure here is of the log-probabilities of given answers"
NOT_SERVED = "The adapter on the unquantised base, or merged into it: training and evaluation used the base in NF4"


@dataclass(frozen=True)
class Facts:
    """
    Attributes:
        base: hub name, prefix in S3 or folder of the base model.
        revision: of a base from the hub, where the recipe names one.
        initial_adapter: the SHA-256 of the adapter that training continued from.
        before, after: the figures of all held-out rows, as evaluation.json has them.
        served: the section `served` of evaluation.json where the served form is another one and was evaluated.
        said: its section `answers` where answers were judged.
        canary: its section `canary`; None where the run had no canary set, or no row of it could be used.
        splits: of each split, rows given, used, and cut or left out by reason.
        data_hash, layouts: of the data and its rows as they came; None where the Preprocess step's report is not there.
        arguments: the training arguments that were set, as text.
        steps, pairs: optimizer steps done, and pairs in each of them.
        versions: library -> version.
        not_tested: what no figure here is about, a sentence each.
    """

    base: str
    on_hub: bool
    revision: str | None
    initial_adapter: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    served: Mapping[str, Any] | None
    said: Mapping[str, Any] | None
    canary: Mapping[str, Any] | None
    splits: Mapping[str, Mapping[str, int]]
    data_hash: str | None
    layouts: Mapping[str, int] | None
    arguments: Mapping[str, str]
    steps: int
    pairs: int
    versions: Mapping[str, str]
    not_tested: tuple[str, ...]


def collect_facts(
    evaluation: Mapping[str, Any],
    arguments: Mapping[str, Any],
    origin: Origin,
    training: Mapping[str, int],
    versions: Mapping[str, str],
) -> Facts:
    """
    Args:
        evaluation: what evaluation.json holds.
        arguments: all training arguments, as `tracker_settings.shown` gives them.
        training: optimizer steps done (`steps`) and pairs in each of them (`pairs`).
        versions: library -> version.
    """
    served, said = evaluation.get("served"), evaluation.get("answers")
    base = arguments["base_model_name"] or arguments["model_id"]
    report = origin.report or {}
    return Facts(
        base=base,
        on_hub=is_hub_name(base),
        revision=arguments["model_revision"] if is_hub_name(arguments["model_id"]) else None,
        initial_adapter=origin.initial_adapter,
        before=evaluation["before"],
        after=evaluation["after"],
        served=served if served and served["evaluated"] and not served["same"] else None,
        said=said if said and said["judged"] else None,
        canary=evaluation.get("canary"),
        splits=evaluation["tokenised"],
        data_hash=report.get("data_hash"),
        layouts=report.get("formats"),
        arguments={key: _text(arguments[key]) for key in ARGUMENTS if arguments[key] is not None},
        steps=training["steps"],
        pairs=training["pairs"],
        versions=versions,
        not_tested=(*_not_said(said), *NOT_TESTED, *_not_served(served, quantised=arguments["load_in_4bit"])),
    )


def _not_said(said: Mapping[str, Any] | None) -> Iterator[str]:
    """What is not known of the text that the model writes."""
    if not said or not said["judged"]:
        yield f"{NOT_SAID}{_why(said)}."
        return
    asked = "held-out prompt" if said["rows"] == 1 else "held-out prompts"
    calls = "form" if said["after"]["calls"] is None else "calls and form"
    yield f"Text that the model writes beyond the {said['rows']:,} {asked} whose answers were judged by {calls} alone."


def _not_served(served: Mapping[str, Any] | None, *, quantised: bool) -> Iterator[str]:
    """What is not known of the form that is served."""
    if quantised and not (served and served["evaluated"]):
        yield f"{NOT_SERVED}{_why(served)}."


def _why(section: Mapping[str, Any] | None) -> str:
    return f" ({section['reason']})" if section and section.get("reason") else ""


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
