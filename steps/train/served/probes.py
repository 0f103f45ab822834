"""What a later check of the weights is held against: a few held-out answers with their log-probability as served.

They stand in a file of their own, since their tokens are rows of the data: what is served must not hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import contract
from steps.train.evaluation.figures import RowMargin

if TYPE_CHECKING:
    from steps.train.rows.tokenise import Pair

FILE = "probes.json"
PROBES = 4  # answers that are kept
PROBE_TOKENS = 512  # longer ones are no probes: a check on a CPU is to take seconds


def find(pairs: Sequence[Pair], rows: Sequence[RowMargin]) -> list[dict[str, Any]]:
    """A few short chosen answers with their log-probability in the served form.

    Only answers of which every token counts up to the last that does: then the sum over what follows
    `completion_at` is the row's own.

    Returns:
        of each id; input_ids, the tokens of prompt and answer; completion_at, where the answer begins; log_prob, the
        sum over its tokens in nats.
    """
    found: list[tuple[int, str, dict[str, Any]]] = []
    for pair, row in zip(pairs, rows, strict=True):
        counted = sum(pair.chosen_mask)
        if counted and all(pair.chosen_mask[:counted]) and len(pair.prompt_ids) + counted <= PROBE_TOKENS:
            ids = [*pair.prompt_ids, *pair.chosen_ids[:counted]]
            probe = {"input_ids": ids, "completion_at": len(pair.prompt_ids), "log_prob": row.chosen}
            found.append((len(ids), pair.id, {"id": pair.id, **probe}))
    return [probe for *_, probe in sorted(found, key=lambda one: one[:2])[:PROBES]]


def write(folder: Path, probes: Sequence[dict[str, Any]]) -> None:
    """The file; without probes none, not even that of an earlier run."""
    if probes:
        contract.write_json(folder / FILE, probes)
    else:
        (folder / FILE).unlink(missing_ok=True)
