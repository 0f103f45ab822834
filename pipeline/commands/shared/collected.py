"""What a run collects, in words, for `check`."""

from __future__ import annotations

from pipeline.settings.workflow import Workflow


def of(workflow: Workflow) -> dict[str, str] | None:
    """What is read, which pairs are kept and what is taken out of them; None where nothing is collected."""
    settings = workflow.settings.collect
    if settings is None:
        return None
    kept = [f"at most {settings.max_feedback_share:.0%} of all pairs"]
    if settings.feedback_weight > 1:
        kept.append(f"each seen {settings.feedback_weight} times in a pass of training")
    if settings.max_age_days is not None:
        kept.append(f"answers of the last {settings.max_age_days:g} days")
    if settings.max_per_person_and_day is not None:
        kept.append(f"{settings.max_per_person_and_day} opinions of a person and day")
    disagree = {"majority": "the majority counts where people disagree", "leave_out": "none where people disagree"}
    kept.append(disagree[settings.contradictions])
    own = len(settings.redact_patterns)
    redacted = [*settings.redact, *([f"{own} own pattern{'s' if own > 1 else ''}"] if own else [])]
    return {
        "captures": workflow.captures_uri,
        "feedback": workflow.feedback_uri,
        "pairs": "; ".join(kept),
        "redacted": ", ".join(redacted) or "nothing",
    }


def text(collected: dict[str, str]) -> str:
    """The same as lines."""
    return "\n".join(["A run collects", *(f"  {name:<9} {said}" for name, said in collected.items()), ""])
