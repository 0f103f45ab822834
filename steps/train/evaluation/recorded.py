"""The champion's margins on the held-out rows as its own evaluation recorded them: then nothing of it is computed.

They are taken only where this run would compute the very same: the same rows, base, arguments and form. On the
unquantised base a champion's margins are those that it was evaluated with as served, or, where it trained unquantised,
its evaluation's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.train.arguments import TrainArguments
from steps.train.evaluation.figures import RowMargin

RECORDED = ("chosen_log_ratio", "rejected_log_ratio", "chosen_tokens", "rejected_tokens")
# What must be equal for recorded margins to be those that this run would compute, and beside it on the base in NF4.
SAME = ("model_revision", "max_length", "truncation", "bf16", "attn_implementation")
SAME_QUANTISED = ("load_in_4bit", "bnb_4bit_use_double_quant")


def recorded(folder: Path, arguments: TrainArguments, margins: Sequence[RowMargin]) -> list[RowMargin] | None:
    """The champion's margins to the base from its own evaluation; None where that is not of these rows, not against the
    base, in another form, or from other arguments than these.

    Args:
        folder: the champion's.
        arguments: with `load_in_4bit` where the margins are those on the base in NF4.
    """
    manifest_file, evaluation_file = folder / "manifest.json", folder / "evaluation.json"
    if not (manifest_file.is_file() and evaluation_file.is_file()):
        return None
    manifest = contract.read_json(manifest_file, "the champion's manifest")
    then, now = manifest.get("arguments", {}), arguments.model_dump(mode="json") | {"initial_adapter": None}
    quantised = SAME_QUANTISED if arguments.load_in_4bit else ()
    if any(then.get(key) != now[key] for key in (*SAME, *quantised, "initial_adapter")):
        return None
    if then.get("chat_template_kwargs", {}) != now["chat_template_kwargs"]:
        return None
    if manifest.get("files", {}).get(evaluation_file.name) != contract.sha256(evaluation_file):
        return None
    evaluation = contract.read_json(evaluation_file, "the champion's evaluation")
    if arguments.load_in_4bit == then.get("load_in_4bit"):
        evaluated = evaluation["margins"]
    else:  # it trained on the base in NF4, and this is the unquantised one
        evaluated = evaluation.get("served", {}).get("margins", [])
    known = {row["id"]: row for row in evaluated if all(key in row for key in RECORDED)}
    if not all(row.id in known and _same_lengths(row, known[row.id]) for row in margins):
        return None
    return [
        replace(
            row,
            chosen=known[row.id]["chosen_log_ratio"],
            rejected=known[row.id]["rejected_log_ratio"],
            reference_chosen=0.0,
            reference_rejected=0.0,
        )
        for row in margins
    ]


def _same_lengths(row: RowMargin, other: dict[str, Any]) -> bool:
    return (row.chosen_tokens, row.rejected_tokens) == (other["chosen_tokens"], other["rejected_tokens"])
