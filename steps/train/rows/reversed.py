"""How many pairs of feedback say the opposite of the given data: what poisoned feedback, or a change of mind, does.

A pair of feedback is reversed where the given data has its prompt with the chosen answer as a rejected one, or with the
rejected answer as a chosen one. Limits: the prompt must be the same message by message. Where both answers are turned
round Preprocess has left out both pairs as contradictory, and its report counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steps.shared.records import Record, canonical_messages

CONTRADICTORY = "feedback_contradictory"  # in Preprocess's report: pairs of feedback whose reverse stands in the data


def count(records: Sequence[Record], report: Mapping[str, Any] | None) -> dict[str, int]:
    """`pairs` of feedback, and how many of them are `reversed`; those that Preprocess left out as contradictory are
    both.

    Args:
        records: of both splits.
        report: Preprocess's, where it is at hand.
    """
    said = [record for record in records if record.of_feedback]
    given: dict[bytes, tuple[set[bytes], set[bytes]]] = {
        canonical_messages(record.prompt): (set(), set()) for record in said
    }
    for record in records if said else ():
        if not record.of_feedback and (answers := given.get(canonical_messages(record.prompt))):
            answers[0].add(canonical_messages(record.chosen))
            answers[1].add(canonical_messages(record.rejected))
    turned = sum(_is_reversed(record, *given[canonical_messages(record.prompt)]) for record in said)
    left_out = (report or {}).get(CONTRADICTORY, 0)
    return {"pairs": len(said) + left_out, "reversed": turned + left_out}


def _is_reversed(record: Record, chosen: set[bytes], rejected: set[bytes]) -> bool:
    return canonical_messages(record.chosen) in rejected or canonical_messages(record.rejected) in chosen
