"""Raw preference files to a training set: read, convert, drop duplicates, split, write, and account for every row.

Rows stream from the files to Parquet; what grows with the data is a set of the rows' ids. A row and its reverse (the
same pair with the preference turned round) are both quarantined, because nothing says which is right: this needs a
second pass over what was written, made only where there are any.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from steps.contract import StepError, write_json
from steps.preprocess import output
from steps.preprocess.convert import Layout, convert, file_layout, in_validation, reversed_id
from steps.preprocess.formats import FORMATS, by_name
from steps.preprocess.reading import RawRow, find_inputs, read_rows
from steps.preprocess.reasons import InvalidRow, Reason
from steps.preprocess.report import Report
from steps.records import Record, RecordWriter, iter_records, write_records

HEAD_ROWS = 100  # of a file, from which its layout is told


@dataclass(frozen=True)
class Options:
    """What the command line says. `format` names a layout for all files, instead of telling each from its rows."""

    input: Path
    output: Path
    validation_fraction: float = 0.1
    max_invalid_fraction: float = 0.1
    format: str | None = None

    def check(self) -> None:
        """Raises StepError for a value out of range."""
        if not 0 < self.validation_fraction < 1:
            raise StepError(f"--validation-fraction {self.validation_fraction}: must be above 0 and below 1")
        if not 0 <= self.max_invalid_fraction <= 1:
            raise StepError(f"--max-invalid-fraction {self.max_invalid_fraction}: must be from 0 to 1")
        if self.format is not None and by_name(self.format) is None:
            names = ", ".join(layout.name for layout in FORMATS)
            raise StepError(f"--format {self.format}: unknown layout; known: {names}")
        inside, outside = self.output.resolve(), self.input.resolve()
        if inside.is_relative_to(outside):
            raise StepError(
                f"--output {self.output}: lies in the input, which would be read again; give another folder"
            )


def preprocess(options: Options) -> Report:
    """Run the step and return its report; the output appears whole, or not at all.

    Raises:
        StepError: nothing to read, too many invalid rows, or a side of the split without a row.
    """
    options.check()
    inputs = find_inputs(options.input)
    report = Report(options.validation_fraction, options.max_invalid_fraction, options.format, inputs.ignored)
    report.files.update({label: 0 for label, _ in inputs.files})
    staging = output.prepare(options.output)
    try:
        _sort_rows(options, inputs.files, staging, report)
        report.check_sum()
        write_json(staging / "report" / "report.json", report.as_json())
        problem = _problem(options, report)
        if problem:
            kept = output.keep_failed(options.output)
            where = f"\nThe rows and their reasons: {kept / 'quarantine.jsonl'}" if report.quarantined else ""
            raise StepError(f"{options.input}: {problem}{where}")
        output.publish(options.output)
    finally:
        output.discard(options.output)
    return report


def _sort_rows(options: Options, files: list[tuple[str, Path]], staging: Path, report: Report) -> None:
    """Send every row to train, validation, duplicate or quarantine."""
    seen: set[bytes] = set()
    contradictory: set[bytes] = set()
    with open(staging / "quarantine" / "quarantine.jsonl", "wb") as quarantine:
        with RecordWriter(staging / "train") as train, RecordWriter(staging / "validation") as validation:
            for raw, layout in _rows(files, options.format):
                report.count_read(raw)
                try:
                    converted = convert(raw, layout)
                except InvalidRow as reason:
                    _quarantine(quarantine, report, raw, reason)
                    continue
                record = converted.record
                report.formats[record.format] += 1
                if bytes.fromhex(record.id) in seen:
                    report.duplicate += 1
                    continue
                seen.add(bytes.fromhex(record.id))
                report.rejected_calls.update(converted.rejected_faults)
                reverse = bytes.fromhex(reversed_id(record))
                if reverse in seen:
                    contradictory |= {reverse, bytes.fromhex(record.id)}
                (validation if in_validation(record, options.validation_fraction) else train).write(record)
        report.train, report.validation = train.rows, validation.rows
        if contradictory:
            report.train = _without(staging / "train", contradictory, quarantine, report)
            report.validation = _without(staging / "validation", contradictory, quarantine, report)
    report.data_hash = _data_hash(seen - contradictory)


def _rows(files: list[tuple[str, Path]], format_name: str | None) -> Iterator[tuple[RawRow, Layout]]:
    forced = Layout(by_name(format_name), strict=True) if format_name else None
    for label, path in files:
        rows = read_rows(label, path)
        head = list(itertools.islice(rows, HEAD_ROWS))
        layout = forced or file_layout(head)
        for raw in itertools.chain(head, rows):
            yield raw, layout


def _quarantine(file: BinaryIO, report: Report, raw: RawRow, reason: InvalidRow) -> None:
    report.quarantine(raw.file, raw.line, reason)
    entry = {
        "file": raw.file,
        "line": raw.line,
        "code": str(reason.code),
        "message": str(reason),
        "raw": raw.data.decode("utf-8", "backslashreplace"),
    }
    file.write(orjson.dumps(entry) + b"\n")


def _without(folder: Path, contradictory: set[bytes], quarantine: BinaryIO, report: Report) -> int:
    """Move the contradictory records of a folder to quarantine; returns how many stay.

    Their text in quarantine is the record as it was converted, which is the `chat` layout: the row itself has gone by.
    """

    def kept() -> Iterator[Record]:
        for record in iter_records(folder):
            if bytes.fromhex(record.id) not in contradictory:
                yield record
                continue
            fields = {name: getattr(record, name) for name in ("prompt", "chosen", "rejected", "tools")}
            raw = RawRow(record.source_file, record.source_line, orjson.dumps(fields))
            reason = InvalidRow(
                Reason.CONTRADICTORY, "the same pair also stands in the data with the preference reversed"
            )
            _quarantine(quarantine, report, raw, reason)

    filtered = folder.with_name(f"{folder.name}.filtered")
    rows = write_records(filtered, kept())
    for file in filtered.iterdir():
        os.replace(file, folder / file.name)
    filtered.rmdir()
    return rows


def _data_hash(ids: set[bytes]) -> str:
    """A hash of the rows kept, whatever the names and the order of the files they came from."""
    return hashlib.sha256(b"".join(sorted(ids))).hexdigest()


def _problem(options: Options, report: Report) -> str | None:
    """Why the data cannot be trained on, and how to mend it."""
    if report.read == 0:
        return "the data set is empty: no rows in " + ", ".join(report.files)
    if report.quarantined > options.max_invalid_fraction * report.read:
        share = f"{report.quarantined} of {report.read} rows ({report.quarantined / report.read:.1%}) are invalid"
        allowed = f"{options.max_invalid_fraction:.1%} are allowed"
        return "\n".join([f"{share}; {allowed}", *report.top_reasons(), "Mend them, or raise --max-invalid-fraction."])
    for side, rows in (("train", report.train), ("validation", report.validation)):
        if rows == 0:
            have = f"no row falls to {side} at --validation-fraction {options.validation_fraction:g}"
            change = "lower" if side == "train" else "raise"
            return f"{have} ({report.read} read, {report.quarantined} quarantined); {change} it, or add rows"
    return None
