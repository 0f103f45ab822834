"""What became of the rows of one shard, or of many: counts that add up, and the few rows that are shown.

Counts are taken where a row is converted, before duplicates are known, unless a name says otherwise; what depends on
the rows that stay is in figures.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from steps.preprocess.read.sources import RawRow
from steps.preprocess.rows.reasons import SOUND_IN_FILE, InvalidRow, Reason
from steps.preprocess.shards.convert import Converted
from steps.preprocess.shards.record import ConvertedRow
from steps.preprocess.shards.unread import UnreadPlaces, cut
from steps.shared.records import OF_FEEDBACK, Record, decode

EXAMPLES = 3  # kept for each reason
RAW_CHARACTERS = 600  # of an example
HAS_REASONING = b'"reasoning_content":'  # a key: in what is said, a quotation mark has a backslash before it
COUNTERS = (
    *("files", "reasons", "broken", "formats", "chosen_calls", "rejected_calls", "called", "scores", "reasoning"),
    *("texts", "lists", "feedback"),
)
SAMPLE_CHARACTERS = 2000  # of a text in a sample row


@dataclass
class Tally:
    """Mergeable counts. Every row that is read is in exactly one of kept, duplicate and quarantined."""

    read: int = 0
    kept: int = 0
    duplicate: int = 0
    files: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)  # rows by file that are not valid in themselves
    first_broken: dict[str, str] = field(default_factory=dict)  # of these, each file's first: its line and why
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    formats: Counter[str] = field(default_factory=Counter)
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    chosen_calls: Counter[str] = field(default_factory=Counter)
    rejected_calls: Counter[str] = field(default_factory=Counter)
    called: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    reasoning: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    lists: Counter[str] = field(default_factory=Counter)
    feedback: Counter[str] = field(default_factory=Counter)  # by reason: pairs of feedback that are quarantined
    unread: dict[str, UnreadPlaces] = field(default_factory=dict)
    with_arguments: int = 0  # rows with template arguments of their own

    @property
    def quarantined(self) -> int:
        return self.reasons.total()

    def count_read(self, label: str, rows: int) -> None:
        self.read += rows
        self.files[label] += rows

    def count_converted(self, row: ConvertedRow) -> None:
        name = row.record.format
        self.formats[name] += 1
        if name not in self.samples:
            self.samples[name] = _sample(decode(row.record))
        self.with_arguments += row.record.chat_template_kwargs is not None
        if row.called:
            self.called.update(row.called)
        if row.chosen_faults:
            self.chosen_calls.update(row.chosen_faults)
        if row.rejected_faults:
            self.rejected_calls.update(row.rejected_faults)
        if HAS_REASONING in row.record.chosen:
            self.reasoning["chosen"] += 1
        if HAS_REASONING in row.record.rejected:
            self.reasoning["rejected"] += 1
        if row.done:
            self.texts.update(map(str, row.done))
        if row.scores:
            chosen, rejected = row.scores
            self.scores["rows"] += 1
            self.scores["tied"] += chosen == rejected
            self.scores["inverted"] += chosen < rejected

        if row.unread:
            self.unread.setdefault(row.record.source_file, UnreadPlaces()).count(row.unread)

    def count_list(self, label: str, converted: Converted) -> None:
        """Count a list of answers; each of its pairs is a row of its own, of which one is counted as read already."""
        more = len(converted.rows) - 1
        self.count_read(label, more)
        is_tie = more == 0 and isinstance(converted.rows[0], InvalidRow) and converted.rows[0].code == Reason.TIED
        self.lists.update(rows=1, pairs=0 if is_tie else more + 1, ties=converted.ties or 0)

    def count_quarantined(self, raw: RawRow, reason: InvalidRow) -> dict[str, Any]:
        """Count a row, and return its line in quarantine."""
        self.reasons[str(reason.code)] += 1
        if raw.file.startswith(OF_FEEDBACK):
            self.feedback[str(reason.code)] += 1
        if reason.code not in SOUND_IN_FILE:
            self.broken[raw.file] += 1
            self.first_broken.setdefault(raw.file, f"line {raw.line}: {reason}")
        text = raw.data.decode("utf-8", "backslashreplace")
        entry = {"file": raw.file, "line": raw.line, "code": str(reason.code), "message": str(reason), "raw": text}
        examples = self.examples.setdefault(str(reason.code), [])
        if len(examples) < EXAMPLES:
            example = {key: entry[key] for key in ("file", "line", "message")}
            examples.append({**example, "raw": cut(text, RAW_CHARACTERS)})
        return entry

    def merge(self, later: Tally) -> None:
        """Add the counts of rows that come later in the data."""
        self.read += later.read
        self.kept += later.kept
        self.duplicate += later.duplicate
        self.with_arguments += later.with_arguments
        self.first_broken = {**later.first_broken, **self.first_broken}
        for name in COUNTERS:
            getattr(self, name).update(getattr(later, name))
        for file, unread in later.unread.items():
            self.unread.setdefault(file, UnreadPlaces()).merge(unread)
        for code, examples in later.examples.items():
            self.examples[code] = [*self.examples.get(code, []), *examples][:EXAMPLES]
        self.samples = {**later.samples, **self.samples}


def _sample(record: Record) -> dict[str, Any]:
    """A record as the report shows it, its long texts cut."""
    parts = {"prompt": record.prompt, "chosen": record.chosen, "rejected": record.rejected}
    shown = {name: [_shown(message) for message in messages] for name, messages in parts.items()}
    return {"file": record.source_file, "line": record.source_line, **shown, "tools": record.tools}


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "content": cut(message["content"], SAMPLE_CHARACTERS)}
