"""The SageMaker model card of a trained adapter: model_card.json, which the gate completes and registration sends.

The content of `ModelCard` in CreateModelPackage. Its schema is AWS's for model packages
(docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema): that of a model card, with no
more than creator and artifact as `model_overview`, which are not known here. Texts are on one line each, because the
API takes none of several (ModelCardContent has the pattern `.*`). Limits: no risk rating and no business details.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steps.shared.contract import write_json
from steps.shared.pages.template import share
from steps.shared.pages.visible import name
from steps.train.results.facts import Facts

CARD = "model_card.json"
VALUE = 255  # characters of a hyperparameter's value
DETAIL = 1024  # of a custom detail, and of a note
CAVEATS = 1900  # of what was not tested: the field takes 2,048
NAME = 255  # of a metric's name

# figure of evaluation.json -> its name and what it means
FIGURES = {
    "rows": ("held-out rows", "Each counted once."),
    "ties": ("ties", "Rows on which the policy prefers neither answer more than the reference does."),
    "loss": ("loss", "Mean of -log sigmoid(beta * margin)."),
    "reward_accuracy": ("reward accuracy", "Share of rows whose chosen answer gained more; a tie counts one half."),
    "reward_accuracy_low": ("reward accuracy, lower bound", "Of its 95% interval (Wilson)."),
    "reward_accuracy_high": ("reward accuracy, upper bound", "Of its 95% interval (Wilson)."),
    "reward_margin": ("reward margin", "Mean of beta * margin."),
    "drift_chosen": ("drift of chosen answers", "Mean log ratio of policy and reference, in nats a row."),
    "drift_rejected": ("drift of rejected answers", "Mean log ratio of policy and reference, in nats a row."),
}
# slices of evaluation.json -> their title, and the name of one of them
SLICES = {
    "format": ("By layout of the data", "reward accuracy, layout {}"),
    "tools": ("With and without tools", "reward accuracy, {} tools"),
}


def write(folder: Path, facts: Facts) -> None:
    """Write the card, whole or not at all."""
    write_json(folder / CARD, content(facts))


def content(facts: Facts) -> dict[str, Any]:
    """The card, valid against the schema whatever names the data and the recipe brought."""
    base = _base(facts)
    return {
        "intended_uses": {
            "purpose_of_model": _cut(
                f"A language model that answers more like the chosen than like the rejected answers of its training "
                f"data: a LoRA adapter for {base}, trained with Direct Preference Optimization (arXiv 2305.18290)."
            ),
            "intended_uses": "Requests like those of the training data, on its base or merged into it. Anything else "
            "was not evaluated.",
            "factors_affecting_model_efficiency": "How far requests differ from the training data, in task, language "
            f"and length (answers were learned in up to {facts.arguments['max_length']} tokens, prompt included).",
            "risk_rating": "Unknown",
            "explanations_for_risk_rating": "Nobody rated it: what was measured is said under evaluation, and says "
            "nothing of risk.",
        },
        "training_details": {
            "objective_function": {
                "function": {"function": "Minimize", "facet": "DPO loss", "condition": "against a frozen reference"},
                "notes": _cut(f"Losses: {facts.arguments['loss_type']}; {_reference(facts)}."),
            },
            "training_observations": f"{facts.steps} optimizer steps of {facts.pairs} pairs; "
            f"{facts.splits['train']['used']} of {facts.splits['train']['given']} training rows used.",
            "training_job_details": {
                "training_datasets": [_data(facts)],
                "user_provided_training_metrics": [
                    {"name": "optimizer steps", "value": facts.steps},
                    {"name": "pairs in a step", "value": facts.pairs},
                    {"name": "training rows used", "value": facts.splits["train"]["used"]},
                ],
                "user_provided_hyper_parameters": [
                    {"name": key, "value": _cut(value, VALUE)} for key, value in facts.arguments.items() if value
                ],
            },
        },
        "evaluation_details": [
            {
                "name": "Held-out preference pairs",
                "evaluation_observation": "Before training, policy and reference are one model: every row is a tie.",
                "datasets": [f"{facts.after['rows']} held-out rows of: {_data(facts)}"],
                "metric_groups": [
                    {"name": "After training", "metric_data": list(_metrics(facts.after))},
                    {"name": "Before training", "metric_data": list(_metrics(facts.before))},
                    *_served(facts.served),
                    *_canary(facts.canary),
                    *_said(facts.said),
                    *_slices(facts.after["slices"]),
                ],
            }
        ],
        "additional_information": {
            "ethical_considerations": "Not assessed. The model learned whatever the chosen answers of its data hold.",
            "caveats_and_recommendations": f"Not tested: {_cut(' '.join(facts.not_tested), CAVEATS)} Try it on "
            "requests of your own before approving it (python pipeline.py try VERSION).",
            "custom_details": {key: _cut(value) for key, value in _details(facts) if value},
        },
    }


def _details(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "base model", facts.base
    yield "base model revision", facts.revision or ""
    yield "initial adapter (SHA-256)", facts.initial_adapter or ""
    yield "data (SHA-256)", facts.data_hash or ""
    yield "data layouts", ", ".join(f"{name(layout)} {count}" for layout, count in (facts.layouts or {}).items())
    for split, counts in facts.splits.items():
        yield f"{split} rows", ", ".join(f"{reason} {count}" for reason, count in counts.items())
    yield "libraries", ", ".join(f"{library} {version}" for library, version in facts.versions.items())


def _base(facts: Facts) -> str:
    return f"{facts.base} at revision {facts.revision}" if facts.revision else facts.base


def _reference(facts: Facts) -> str:
    on = (
        f"the base with an earlier adapter on, SHA-256 {facts.initial_adapter}" if facts.initial_adapter else "the base"
    )
    return f"the reference is {on}"


def _data(facts: Facts) -> str:
    return f"preference pairs, SHA-256 {facts.data_hash}" if facts.data_hash else "preference pairs of unknown hash"


def _metrics(figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, (title, meaning) in FIGURES.items():
        yield _metric(title, figures[key], meaning)


def _served(served: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """How the model does in the form that is served, where that is another one."""
    if served:
        drift = served["drift"]
        changed = _metric("rows that change sides", drift["rows_changed"], f"Of {drift['rows']}, between both forms.")
        yield {"name": "As served", "metric_data": [*_metrics(served["after"]), changed]}


def _canary(canary: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """How the model does on the rows that every run holds out, where there are some."""
    if canary:
        data = [_metric(title, canary[key], meaning) for key, (title, meaning) in FIGURES.items() if key in canary]
        yield {"name": "Canary set", "metric_data": data}


def _said(said: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """What was measured of the answers of base, this model and champion."""
    if not said:
        return
    for title, key in (("base", "before"), ("this model", "after"), ("champion", "champion")):
        if side := said[key]:
            yield {"name": f"What it says: {title}", "metric_data": list(_answers(side))}


def _answers(side: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if calls := side["calls"]:
        of = f"Of {calls['rows']} prompts with tools, judged by the chosen answer"
        yield from _share("calls right", calls, of)
        yield from _share("call or no call", calls["decision"], of)
        yield from _share("names of calls", calls["name"], f"Of {calls['name']['n']} whose chosen answer calls")
        yield from _share("arguments of calls", calls["arguments"], f"Of {calls['arguments']['n']} likewise")
    form = side["form"]
    means = "empty, unfinished, repetitive or with a marker of the template"
    yield from _share("degenerate answers", form["degenerate"], f"Of {form['rows']}: {means}")


def _share(title: str, part: Mapping[str, Any], of: str) -> Iterator[dict[str, Any]]:
    """A share with its interval; nothing where it is of no row."""
    if part["share"] is not None:
        notes = f"{of}; 95% interval {share(part['low'])} to {share(part['high'])} (Wilson)."
        yield _metric(title, part["share"], notes)


def _metric(title: str, value: float, notes: str) -> dict[str, Any]:
    return {"name": title, "type": "number", "value": value, "notes": notes}


def _slices(slices: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for kind, (title, form) in SLICES.items():
        data = [_slice(form.format(name(part)), figures) for part, figures in slices[kind].items()]
        yield {"name": title, "metric_data": data}


def _slice(title: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    interval = f"{share(figures['reward_accuracy_low'])} to {share(figures['reward_accuracy_high'])}"
    notes = f"{figures['rows']} rows, 95% interval {interval}."
    return _metric(_cut(title, NAME), figures["reward_accuracy"], notes)


def _cut(text: str, longest: int = DETAIL) -> str:
    """Text as a field takes it: on one line, what would not be seen spelt out, at most so many characters."""
    shown = " ".join(name(word) for word in text.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
