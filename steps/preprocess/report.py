"""What became of the rows: the counts of report.json, the examples in an error, and the summary that ends the log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from steps.preprocess.reading import RawRow
from steps.preprocess.reasons import InvalidRow

EXAMPLES = 3  # kept for each reason
SHOWN_REASONS = 3
SHOWN_CHARACTERS = 120  # of an example: an error has to fit into what SageMaker keeps of a failure


@dataclass
class Report:
    """Counts of one run. Every row that is read is in exactly one of train, validation, duplicate and quarantined."""

    validation_fraction: float
    max_invalid_fraction: float
    format: str | None
    ignored_files: list[str]
    read: int = 0
    train: int = 0
    validation: int = 0
    duplicate: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    rejected_calls: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    data_hash: str = ""

    def quarantine(self, file: str, line: int, reason: InvalidRow) -> None:
        self.quarantined += 1
        self.reasons[reason.code] += 1
        examples = self.examples.setdefault(str(reason.code), [])
        if len(examples) < EXAMPLES:
            examples.append({"file": file, "line": line, "message": str(reason)})

    def count_read(self, raw: RawRow) -> None:
        self.read += 1
        self.files[raw.file] += 1

    def check_sum(self) -> None:
        """Hold the promise that no row is lost; a breach is a bug here and never the data's fault."""
        accounted = self.train + self.validation + self.duplicate + self.quarantined
        if accounted != self.read or sum(self.reasons.values()) != self.quarantined:
            raise RuntimeError(f"rows do not add up: {self.as_json()['rows']}, {dict(self.reasons)}")

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": {
                "read": self.read,
                "train": self.train,
                "validation": self.validation,
                "duplicate": self.duplicate,
                "quarantined": self.quarantined,
            },
            "reasons": dict(self.reasons),
            "formats": dict(self.formats),
            "files": dict(self.files),
            "ignored_files": self.ignored_files,
            "rejected_calls": dict(self.rejected_calls),
            "examples": self.examples,
            "data_hash": self.data_hash,
            "validation_fraction": self.validation_fraction,
            "max_invalid_fraction": self.max_invalid_fraction,
            "format": self.format,
        }

    def top_reasons(self) -> list[str]:
        """The most frequent reasons with an example each, one line a reason."""
        lines = []
        for code, count in sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_REASONS]:
            example = self.examples[code][0]
            message = example["message"]
            if len(message) > SHOWN_CHARACTERS:
                message = message[: SHOWN_CHARACTERS - 1] + "…"
            lines.append(f"  {count} {code}, e.g. {example['file']}:{example['line']}: {message}")
        return lines

    def summary(self) -> str:
        layouts = ", ".join(f"{count} {name}" for name, count in self.formats.most_common())
        lines = [
            f"rows read {self.read} ({layouts or 'none readable'}) from {len(self.files)} file(s)",
            f"  train {self.train}  validation {self.validation}  "
            f"duplicate {self.duplicate}  quarantined {self.quarantined}",
            *self.top_reasons(),
        ]
        if self.rejected_calls:
            faults = ", ".join(f"{count} {name}" for name, count in sorted(self.rejected_calls.items()))
            lines.append(f"  kept, with a faulty tool call in rejected: {faults}")
        if self.ignored_files:
            lines.append(f"  files left alone: {len(self.ignored_files)} (see ignored_files in report.json)")
        return "\n".join(lines)
