"""Feedback on one answer (KTO's): not preference pairs, and said so instead of naming fields that are missing."""

from __future__ import annotations

from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.reasons import InvalidRow, Reason

ANSWERS = ("completion", "response", "output", "answer", "generation", "messages", "conversations")
LABELS = (
    *("label", "labels", "kto_tag", "thumb", "thumbs", "thumbs_up", "thumbs_down", "feedback", "desirable"),
    *("is_desirable", "liked", "is_good", "rating", "score", "reward"),
)


def refusal(row: Row) -> InvalidRow | None:
    """Why a row that fits no layout is no pair, where it has one answer and what was thought of it."""
    answer = next((name for name in ANSWERS if row.get(name)), None)
    label = next((name for name in LABELS if isinstance(row.get(name), bool | int | float | str)), None)
    if answer is None or label is None or row.get("chosen") or row.get("rejected"):
        return None
    said = f"one-sided feedback: one answer ({answer}) and its {label}, as for KTO; DPO needs a better and a worse one"
    return InvalidRow(Reason.ONE_SIDED, said)
