"""report.json, its page, and the summary that ends the log: the account that a run gives of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from steps.preprocess.options import Options
from steps.preprocess.read.inputs import Data
from steps.preprocess.report import feedback
from steps.preprocess.report.figures import Figures
from steps.preprocess.report.page import render
from steps.preprocess.report.suggestion import suggested_columns
from steps.preprocess.rows.notes import Done
from steps.preprocess.rows.reasons import NOT_INVALID, Reason
from steps.preprocess.shards.tally import Tally
from steps.preprocess.shards.unread import UnreadPlaces, cut
from steps.shared.contract import write_json

SHOWN_REASONS = SHOWN_FILES = 3
SHOWN_UNREAD, SHOWN_EXAMPLE = 8, 30  # fields that nothing reads, and characters of an example
SHOWN_CHARACTERS = 120  # of an example: an error has to fit into what SageMaker keeps of a failure


@dataclass
class Report:
    """The account of a whole run.

    Attributes:
        asked: what the command line asked for, as the report says it.
        units: what lengths were counted in.
        drift: the comparison with a baseline, where there is one.
        splits: the splits of the data, where it is a DatasetDict; all of them were read.
    """

    tally: Tally
    figures: Figures
    data_hash: str
    ignored_files: list[str]
    asked: dict[str, Any]
    units: tuple[str, ...]
    drift: dict[str, Any] | None = None
    splits: tuple[str, ...] = ()

    @classmethod
    def of(cls, tally: Tally, figures: Figures, data_hash: str, data: Data, options: Options) -> Report:
        """The account of a run's counts, which add up; a file without rows is in it too."""
        for label, _ in [*data.files, *data.validation]:
            tally.files[label] += 0
        report = cls(tally, figures, data_hash, data.ignored, options.as_json(), options.units, splits=data.splits)
        report.check_sum()
        return report

    @property
    def invalid(self) -> int:
        """Quarantined rows that something is wrong with, and that were not left out on request."""
        return self.tally.quarantined - sum(self.tally.reasons[reason] for reason in NOT_INVALID)

    def check_sum(self) -> None:
        """Raises RuntimeError where a row is lost or counted twice: a bug here, and never the data's fault."""
        tally, figures = self.tally, self.figures
        kept = figures.train + figures.validation
        if kept != tally.kept or kept + tally.duplicate + tally.quarantined != tally.read:
            raise RuntimeError(f"rows do not add up: {self.as_json()['rows']}, {tally.kept} kept")

    def as_json(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "rows": {
                "read": tally.read,
                "train": self.figures.train,
                "validation": self.figures.validation,
                "duplicate": tally.duplicate,
                "quarantined": tally.quarantined,
            },
            "reasons": dict(tally.reasons),
            "examples": tally.examples,
            "formats": dict(tally.formats),
            "samples": tally.samples,
            "files": dict(tally.files),
            "ignored_files": self.ignored_files,
            "chosen_calls": dict(tally.chosen_calls),
            "rejected_calls": dict(tally.rejected_calls),
            "reasoning": {side: tally.reasoning[side] for side in ("chosen", "rejected")},
            "rows_with_template_arguments": tally.with_arguments,
            "texts": {str(done): tally.texts[done] for done in Done},
            "lists": {name: tally.lists[name] for name in ("rows", "pairs", "ties")},
            "scores": {name: tally.scores[name] for name in ("rows", "tied", "inverted")},
            "unread": {file: places.as_json() for file, places in tally.unread.items()},
            **self.figures.as_json(tally.called, self.units),
            "data_hash": self.data_hash,
            "baseline": self.drift,
            **self._of_feedback(),
            **self.asked,
        }

    def _of_feedback(self) -> dict[str, Any]:
        """How feedback's pairs differ from the other data, and how many say the opposite of another pair; Train counts
        what is left of such pairs."""
        if "feedback_data" not in self.asked:
            return {}
        contradictory = self.tally.feedback[Reason.CONTRADICTORY]
        return {"feedback_contradictory": contradictory, "feedback_drift": self._feedback_drift}

    @cached_property
    def _feedback_drift(self) -> dict[str, Any] | None:
        return feedback.compare(self.figures, self.units)

    def write(self, folder: Path) -> None:
        """The page first: report.json marks a report that is whole."""
        value = self.as_json()
        (folder / "report.html").write_text(render(value), encoding="utf-8")
        write_json(folder / "report.json", value)

    def problem(self) -> str | None:
        """Why the data cannot be trained on, and how to fix it."""
        read, quarantined = self.tally.read, self.tally.quarantined
        if read == 0:
            return "the data set is empty: no rows in " + ", ".join(self.tally.files)
        most = self.asked["max_invalid_fraction"]
        if self.invalid > most * read:
            share = f"{self.invalid} of {read} rows ({self.invalid / read:.1%}) are invalid; {most:.1%} are allowed"
            fix = "Fix them, or raise --max-invalid-fraction."
            return "\n".join([share, *self._top_reasons(), *self._suggestion(), fix])
        if most < 1 and (files := self._files_without_valid_row()):
            return "\n".join([*files, *self._suggestion(), "Fix them, or take them out of the data."])
        for side, rows in (("train", self.figures.train), ("validation", self.figures.validation)):
            if rows == 0 and self.asked["validation_fraction"] is None:
                return f"no row is left for {side} ({read} read, {quarantined} quarantined); add rows"
            if rows == 0:
                have = f"no row falls to {side} at --validation-fraction {self.asked['validation_fraction']:g}"
                change = "lower" if side == "train" else "raise"
                return f"{have} ({read} read, {quarantined} quarantined); {change} it, or add rows"
        return self._too_few_to_judge()

    def _too_few_to_judge(self) -> str | None:
        rows, least, fraction = self.figures.validation, self.asked["min_validation_rows"], "validation_fraction"
        if rows >= least:
            return None
        few = f"{rows} rows are held out, too few to judge a model by: at least {least} are needed"
        larger = "hold out more data" if self.asked[fraction] is None else "raise --validation-fraction"
        return f"{few}. Add rows, {larger}, or lower --min-validation-rows."

    def _files_without_valid_row(self) -> list[str]:
        """One line for each of the first files of which nothing would be left, however small a share they are."""
        tally = self.tally
        labels = [label for label, rows in sorted(tally.files.items()) if rows and tally.broken[label] == rows]
        said = {label: cut(tally.first_broken[label], SHOWN_CHARACTERS) for label in labels[:SHOWN_FILES]}
        lines = [f"{label}: none of its {tally.files[label]} rows is valid, e.g. {said[label]}" for label in said]
        more = len(labels) - SHOWN_FILES
        return [*lines, f"and {more} more files without a valid row"] if more > 0 else lines

    def _suggestion(self) -> list[str]:
        """The options that say which fields the layout's are, where the names in a row tell."""
        examples = self.tally.examples.get(str(Reason.MISSING_FIELD), [])
        columns = suggested_columns(examples[0]["raw"]) if examples else {}
        if not columns:
            return []
        options = " ".join(f"--column {name}={given}" for name, given in columns.items())
        return [f"If these are the fields that their names say: {options}"]

    def _top_reasons(self) -> list[str]:
        """The most frequent reasons with an example each, one line a reason."""
        lines = []
        reasons = [(code, count) for code, count in self.tally.reasons.items() if code not in NOT_INVALID]
        for code, count in sorted(reasons, key=lambda item: (-item[1], item[0]))[:SHOWN_REASONS]:
            example = self.tally.examples[code][0]
            where = f"{example['file']}:{example['line']}"
            lines.append(f"  {count} {code}, e.g. {where}: {cut(example['message'], SHOWN_CHARACTERS)}")
        return lines

    def summary(self) -> str:
        """A few lines that say what became of the rows."""
        tally = self.tally
        kept = f"{self.figures.train:,} train + {self.figures.validation:,} validation"
        lines = [f"{tally.read:,} rows = {kept} + {tally.duplicate:,} duplicate + {tally.quarantined:,} quarantined"]
        lines += [f"  {name}: {count:,} rows" for name, count in sorted(tally.formats.items())]
        lines += [f"  quarantined, {code}: {count:,}" for code, count in sorted(tally.reasons.items())]
        for part, faults in (("chosen", tally.chosen_calls), ("rejected", tally.rejected_calls)):
            if faults:
                counts = ", ".join(f"{count:,} {name}" for name, count in sorted(faults.items()))
                lines.append(f"  kept, with a faulty tool call in {part}: {counts}")
        lines += [f"  {done}: {count:,} rows" for done, count in sorted(tally.texts.items())]
        if tally.with_arguments:
            lines.append(f"  rendered with chat_template_kwargs of their own: {_plural(tally.with_arguments, 'row')}")
        if tally.lists:
            lists, rule = tally.lists, self.asked["pairs"]
            ties = f", {lists['ties']:,} tied" if lists["ties"] else ""
            became = f"{_plural(lists['rows'], 'list')} of answers became {_plural(lists['pairs'], 'pair')}"
            lines.append(f"  {became} ({rule}){ties}")
        if tally.scores["tied"] or tally.scores["inverted"]:
            tied, inverted = tally.scores["tied"], tally.scores["inverted"]
            lines.append(
                f"  scores: the same for both answers in {_plural(tied, 'row')}, lower for chosen in {inverted:,}"
            )
        lines += self._unread()
        if empty := sorted(label for label, rows in tally.files.items() if not rows):
            more = f" and {len(empty) - SHOWN_FILES} more" if len(empty) > SHOWN_FILES else ""
            lines.append(f"  files without a row: {', '.join(empty[:SHOWN_FILES])}{more}")
        if self.ignored_files:
            lines.append(f"  files left alone: {len(self.ignored_files)} (see ignored_files in report.json)")
        if self.splits:
            apart = f"--input …/{self.splits[0]} --validation-data …/{self.splits[-1]}"
            lines.append(f"  all splits were read: {', '.join(self.splits)}; to keep them apart: {apart}")
        if self.drift:
            lines += [f"  drift: {warning}" for warning in self.drift["warnings"]]
        if "feedback_data" in self.asked and self._feedback_drift:
            lines += [f"  drift: {warning}" for warning in self._feedback_drift["warnings"]]
        return "\n".join(lines)

    def _unread(self) -> list[str]:
        """One line on the fields that nothing reads, over all files."""
        found = UnreadPlaces()
        for places in self.tally.unread.values():
            found.merge(places)
        told = [
            f"{place} ({_plural(value['rows'], 'row')}, e.g. {cut(value['example'], SHOWN_EXAMPLE)})"
            for place, value in found.as_json().items()
        ]
        if not told:
            return []
        more = f" and {len(told) - SHOWN_UNREAD:,} more (unread in report.json)" if len(told) > SHOWN_UNREAD else ""
        return [f"  fields that nothing reads: {', '.join(told[:SHOWN_UNREAD])}{more}"]


def _plural(count: int, name: str) -> str:
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
