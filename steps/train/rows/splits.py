"""The rows of both splits on every rank: read, tokenised together, and accounted for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.records import Record, read_records
from steps.shared.signs.phases import Count
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.arguments import TrainArguments
from steps.train.rows import tokenise as data

if TYPE_CHECKING:
    from trl import DPOConfig

log = logging.getLogger("train")


@dataclass(frozen=True)
class Split:
    """The records of a split, those of them that are used, as token ids, and those that were cut or left out."""

    name: str
    records: list[Record]
    pairs: list[data.Pair]
    left: data.Left

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence; 0 without rows."""
        return max((pair.tokens for pair in self.pairs), default=0)

    def pair_tokens(self, *, shared: bool) -> float:
        """Tokens that a pair takes in a pass on average: with a shared prompt once, otherwise two sequences as long as
        its longer one. There must be rows."""
        if shared:
            sizes = [len(pair.prompt_ids) + len(pair.chosen_ids) + len(pair.rejected_ids) for pair in self.pairs]
        else:
            sizes = [2 * pair.tokens for pair in self.pairs]
        return sum(sizes) / len(sizes)

    @property
    def reasoning(self) -> int:
        """Rows given of which an answer has reasoning."""
        return sum(
            any("reasoning_content" in message for message in [*record.chosen, *record.rejected])
            for record in self.records
        )

    def of_feedback(self) -> list[data.Pair]:
        """Those used that Collect made of what people said."""
        ids = {record.id for record in self.records if record.of_feedback}
        return [pair for pair in self.pairs if pair.id in ids]

    def seen(self, feedback_weight: int) -> list[data.Pair]:
        """The pairs of an epoch: each once, and those of feedback `feedback_weight` times. The copies stand at the end;
        the order of training is drawn."""
        return self.pairs + self.of_feedback() * (feedback_weight - 1)

    @property
    def counts(self) -> dict[str, int]:
        return {"given": len(self.records), "used": len(self.pairs), **self.left.counts}


def folder(named: str | None, channel: str) -> Path:
    """The folder of a split: the argument's, or in a job the channel's.

    Raises:
        StepError: there is no such folder.
    """
    path = Path(named) if named else contract.channel(channel)
    if not path.is_dir():
        raise StepError(f"{channel}_data: {path}: there is no such folder; name one that the Preprocess step wrote")
    return path


def read(arguments: TrainArguments) -> dict[str, list[Record]]:
    """The records of `train` and `validation`.

    Raises:
        StepError: a folder is missing, or holds no such records.
    """
    named = {"train": arguments.train_data, "validation": arguments.validation_data}
    return {name: read_records(folder(path, name)) for name, path in named.items()}


def require_reported(records: Mapping[str, Sequence[Record]], reports: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Where Preprocess's report lies beside a split, the split has as many rows as the report counts. Parquet files are
    whole or damaged each by itself: one that is gone is missed by nothing else.

    Args:
        reports: by split, what report.json holds; None where there is none.

    Raises:
        StepError: rows are missing, or there are more.
    """
    for name, rows in records.items():
        report = reports[name]
        if report is None:
            continue
        counts = report.get("rows")
        counted = counts.get(name) if isinstance(counts, dict) else None
        if counted != len(rows):
            said = f"{counted:,}" if isinstance(counted, int) else "no number of"
            raise StepError(
                f"{name}: {len(rows):,} rows are in the *.parquet files, and the report of the Preprocess step beside "
                f"them counts {said} rows: a file is missing, or was added; copy the whole output of Preprocess again, "
                "or run it again"
            )


def prepare(
    records: dict[str, list[Record]],
    template: ChatTemplate,
    arguments: TrainArguments,
    config: DPOConfig,
    output: Path,
) -> tuple[Split, Split]:
    """Both splits, (train, validation), tokenised; a file in `output` lists every row that was cut or left out.

    Raises:
        StepError: no row of a split can be used, or more of one are left out than may be.
    """
    splits = [Split(name, rows, *tokenise(name, rows, template, arguments, config)) for name, rows in records.items()]
    for split in splits:
        log.info(
            "%s: %d of %d rows, longest %d tokens", split.name, len(split.pairs), len(split.records), split.longest
        )
        for line in split.left.lines():
            log.warning("%s: %s", split.name, line)
    left_out = {split.name: split.left for split in splits}
    if config.process_index == 0 and data.write_left_out(output / data.LEFT_OUT, left_out, arguments.max_length):
        log.warning("every row that was cut or left out: %s", output / data.LEFT_OUT)
    for split in splits:
        data.require_rows(split.pairs, split.name, split.left, arguments.max_length)
        require_enough(split, arguments)
    train, validation = splits
    return train, validation


def require_enough(split: Split, arguments: TrainArguments) -> None:
    """What is left of a split after many rows were left out is no longer the data that was meant.

    Raises:
        StepError: a larger share than `max_left_out_fraction` of its rows is left out.
    """
    given, most = len(split.records), arguments.max_left_out_fraction
    without = given - len(split.pairs)
    if without <= most * given:
        return
    fixes = ["mend these rows", f"raise max_left_out_fraction (now {most:g})"]
    if split.left.counts["too_long"]:
        cut = [] if arguments.truncation == "cut_prompt" else ["set truncation: cut_prompt"]
        fixes = [f"raise max_length (now {arguments.max_length})", *cut, *fixes]
    share = f"{split.name}: {without} of {given} rows ({without / given:.1%}) cannot be used; {most:.1%} are allowed"
    reasons = [f"  {line}" for line in split.left.without_trained().lines()]
    raise StepError("\n".join([share, *reasons, f"To fix it: {', '.join(fixes[:-1])}, or {fixes[-1]}."]))


def tokenise(
    name: str, records: list[Record], template: ChatTemplate, arguments: TrainArguments, config: DPOConfig
) -> tuple[list[data.Pair], data.Left]:
    """Token ids of a split, and which rows were cut or left out.

    Each process renders its share and all get the whole, so that none waits for another.
    """
    from steps.train.runtime import ranks

    share = records[config.process_index :: config.world_size]
    count = Count(f"tokenising {name}", len(share))
    parts = ranks.gather(data.tokenise(share, template, arguments.max_length, arguments.truncation, count))
    world = len(parts)
    ordered = [parts[index % world][0][index // world] for index in range(len(records))]
    return [pair for pair in ordered if pair is not None], data.Left.of_ranks([other for _, other in parts])
