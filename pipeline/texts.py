"""How times, durations and metrics read, wherever they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def moment(value: datetime | None) -> str:
    """A time in the reader's zone, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""


# What is shown of a job's metrics while it runs, in this order; a metric that is not reported is not shown.
_SHOWN = {
    "train:loss": "loss",
    "train:reward_accuracy": "reward accuracy",
    "eval:loss": "held-out loss",
    "eval:reward_accuracy": "held-out reward accuracy",
}


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3:07`, `1:02:03`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(started: datetime | None, ended: datetime | None) -> str:
    """How long something that has begun took, or takes until now; empty of what has not."""
    return duration(((ended or now()) - started).total_seconds()) if started else ""


def metrics_text(metrics: Mapping[str, float]) -> str:
    """`step 12/150, loss 0.512, reward accuracy 0.812` of what a job has reported."""
    parts = [f"{label} {metrics[name]:.3f}" for name, label in _SHOWN.items() if name in metrics]
    if "train:step" in metrics:
        total = f"/{metrics['train:max_steps']:.0f}" if "train:max_steps" in metrics else ""
        parts.insert(0, f"step {metrics['train:step']:.0f}{total}")
    return ", ".join(parts)


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)
