"""The rules that a run's gate will hold against the model, drawn for `check`."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from pipeline.settings.schema import WorkflowFile
from steps.gate.rules.limits import Limits
from steps.gate.rules.table import asked
from steps.train.arguments import TrainArguments

OF_CALLS = ("calls", "calls_champion")
OF_ANSWERS = (*OF_CALLS, "degenerate", "judge")


def of(settings: WorkflowFile, recipe: TrainArguments) -> dict[str, str]:
    """Each rule's name with what passes it, as the settings say; an execution's own parameters win over them. What the
    recipe leaves unmeasured is said."""
    gate = settings.gate
    rules = asked(
        Limits(
            threshold=gate.reward_accuracy_threshold,
            threshold_on=gate.threshold_on,
            tolerance=gate.champion_tolerance,
            min_rows=gate.min_validation_rows,
            max_chosen_drop=gate.max_chosen_drop,
            max_served_drift=gate.max_served_drift,
            max_degenerate_share=gate.max_degenerate_share,
            judge=gate.judge,
            max_reversed_share=gate.max_reversed_share if settings.collect else None,
            canary_threshold=gate.canary_threshold if settings.preprocess.canary else None,
        )
    )
    unmeasured = dict.fromkeys(OF_CALLS, "tool_call_parser: none") if recipe.tool_call_parser == "none" else {}
    if not recipe.evaluate_answers:
        unmeasured = dict.fromkeys(OF_ANSWERS, "evaluate_answers: 0")
    if recipe.evaluate_served == "false" and recipe.load_in_4bit:  # else what trains is what is served
        unmeasured["served_drift"] = "evaluate_served: false"
    return {
        name: f"{passes_with}; not judged: the recipe says {unmeasured[name]}" if name in unmeasured else passes_with
        for name, passes_with in rules.items()
    }


def table(rules: Mapping[str, str]) -> Table:
    """The picture of what `of` gave."""
    drawn = Table("Rule", "Passes with", title="The gate registers a model that passes", title_justify="left", box=None)
    for name, passes_with in rules.items():
        drawn.add_row(name, passes_with)
    return drawn
