"""One moment that the chat template is told of as the time, for all rows and every start of a training.

Some templates write today's date. A job that starts again after midnight must make the same tokens, or none of its
checkpoints would be its own: the moment is kept beside them, and a start of the same training takes it from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from steps.shared import contract
from steps.shared.records import Record
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.arguments import TrainArguments
from steps.train.loop import checkpoints

FILE = "chat_template_moment.json"  # in the folder of checkpoints


def run_moment(
    template: ChatTemplate,
    records: Mapping[str, Sequence[Record]],
    arguments: TrainArguments,
    folder: Path,
) -> datetime | None:
    """What the template is told of the time, the same on every rank and every start; None where it does not ask.

    All ranks must call it together.

    Args:
        folder: of the checkpoints; the first rank's has the file.

    Raises:
        StepError: the file is no JSON; on every rank.
    """
    from steps.train.runtime import ranks

    if not template.asks_for_time:
        return None
    return ranks.done_by_first(lambda: _kept(records, arguments, folder))


def _kept(records: Mapping[str, Sequence[Record]], arguments: TrainArguments, folder: Path) -> datetime:
    """The moment of the training with these rows and arguments: from an earlier start of it, or now."""
    ids = {split: [record.id for record in rows] for split, rows in records.items()}
    run = checkpoints.fingerprint({"rows": ids, "model": arguments.model_id, "kwargs": arguments.chat_template_kwargs})
    file = folder / FILE
    if file.is_file():
        known = contract.read_json(file, "the moment of the chat template")
        if known.get("run") == run:
            return datetime.fromisoformat(known["moment"])
    moment = datetime.now(UTC).replace(microsecond=0)
    contract.write_json(file, {"run": run, "moment": moment.isoformat()})
    return moment
