"""One row of a file into one record, or into the reason why not. A pure function: no files, no counters, no order.

Decides which layout reads the row, and applies every rule that a row can be judged by alone. What needs the other
rows (duplicates, contradictions) is not here.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from steps.preprocess.formats import Format, Pair, Row, detect, nearest
from steps.preprocess.messages import check_answer, check_prompt
from steps.preprocess.reading import RawRow
from steps.preprocess.reasons import InvalidRow, Reason
from steps.preprocess.tools import call_fault, kind, normalise_tools
from steps.records import Messages, Record, Tools, canonical, content, content_id

TOO_DEEP = "nested too deep to be a preference pair"


@dataclass(frozen=True)
class Converted:
    """A record, and what is wrong with the calls that its rejected answer makes: undeclared, arguments, malformed."""

    record: Record
    rejected_faults: list[str]


@dataclass(frozen=True)
class Layout:
    """How a file's rows are read: by `format` where they fit it, else, unless `strict`, by one that they do fit."""

    format: Format | None
    strict: bool = False

    def of(self, row: Row) -> Format:
        if self.format and self.format.fits(row):
            return self.format
        if self.format and self.strict:
            raise self.format.explain(row)
        own = detect(row)
        if own:
            return own
        raise nearest(row, self.format).explain(row)


def file_layout(head: Sequence[RawRow]) -> Layout:
    """The layout that most of a file's first rows fit."""
    votes: Counter[str] = Counter()
    found: dict[str, Format] = {}
    for raw in head:
        try:
            layout = detect(_parse(raw))
        except InvalidRow:
            continue
        if layout:
            votes[layout.name] += 1
            found[layout.name] = layout
    return Layout(found[votes.most_common(1)[0][0]] if votes else None)


def convert(raw: RawRow, layout: Layout) -> Converted:
    """Read one row and hold it against the rules.

    Raises:
        InvalidRow: with the code and the sentence that go into quarantine.
    """
    row = _parse(raw)
    chosen_format = layout.of(row)
    try:
        pair = chosen_format.read(row)
        tools = normalise_tools(row.get("tools"))
        prompt = _with_system(pair.prompt, row.get("system"))
        faults = _check(prompt, pair, tools)
        if _has_nul([prompt, pair.chosen, pair.rejected, tools]):
            raise InvalidRow(Reason.NUL_BYTE, "a text holds a NUL character (\\u0000)")
        identity = content_id(prompt, pair.chosen, pair.rejected, tools)
    except (RecursionError, orjson.JSONEncodeError):
        raise InvalidRow(Reason.TOO_DEEP, TOO_DEEP) from None
    record = Record(identity, prompt, pair.chosen, pair.rejected, tools, chosen_format.name, raw.file, raw.line)
    return Converted(record, faults)


def _parse(raw: RawRow) -> Row:
    if raw.problem:
        raise raw.problem
    try:
        row = orjson.loads(raw.data)
    except orjson.JSONDecodeError as error:
        raise _diagnose(raw.data, error) from None
    if not isinstance(row, dict):
        raise InvalidRow(Reason.WRONG_TYPE, f"the row is {kind(row)}; must be an object")
    return row


def _diagnose(data: bytes, error: orjson.JSONDecodeError) -> InvalidRow:
    if b"\0" in data:
        return InvalidRow(Reason.NUL_BYTE, f"a NUL byte at byte {data.index(0)} of the row")
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return InvalidRow(Reason.INVALID_UTF8, f"not UTF-8 at byte {fault.start} of the row")
    return InvalidRow(Reason.NOT_JSON, str(error))


def _with_system(prompt: Messages, system: Any) -> Messages:
    """Put the text of a `system` field, which several layouts have, before the prompt that has no such turn."""
    if not system or (prompt and prompt[0]["role"] == "system"):
        return prompt
    if not isinstance(system, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"system is {kind(system)}; must be text")
    return [{"role": "system", "content": system}, *prompt]


def _check(prompt: Messages, pair: Pair, tools: Tools) -> list[str]:
    check_answer(pair.chosen, "chosen")
    check_answer(pair.rejected, "rejected")
    check_prompt(prompt)
    if content(pair.chosen) == content(pair.rejected):
        raise InvalidRow(Reason.SAME_RESPONSE, "chosen and rejected are the same")
    for call in _calls(pair.chosen):
        fault = call_fault(call, tools)
        if fault:
            raise InvalidRow(Reason.TOOL_CALL_INVALID, f"chosen {fault[1]}")
    found = [call_fault(call, tools) for call in _calls(pair.rejected)]
    return [*pair.faults, *(fault[0] for fault in found if fault)]


def _calls(messages: Messages) -> Iterator[dict[str, Any]]:
    for message in messages:
        yield from message.get("tool_calls", ())


def _has_nul(value: Any) -> bool:
    if b"\\u0000" not in orjson.dumps(value):  # an escaped backslash can stand before it, hence the walk
        return False
    pending = [value]
    while pending:
        entry = pending.pop()
        if isinstance(entry, str) and "\0" in entry:
            return True
        if isinstance(entry, dict):
            pending += [*entry, *entry.values()]
        elif isinstance(entry, list):
            pending += entry
    return False


def reversed_id(record: Record) -> str:
    """The id of the row that prefers the other answer."""
    return content_id(record.prompt, record.rejected, record.chosen, record.tools)


def in_validation(record: Record, fraction: float) -> bool:
    """The side of the split: a pure function of the normalised prompt, without the tools.

    Case, Unicode form and white space do not count, so that a prompt typed twice does not leak. A larger fraction moves
    rows from train to validation and none back.
    """
    turns = [[message["role"], _normal(message)] for message in content(record.prompt)]
    digest = hashlib.sha256(canonical(turns)).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def _normal(message: dict[str, Any]) -> list[Any]:
    text = " ".join(unicodedata.normalize("NFKC", message["content"]).casefold().split())
    return [text, message.get("tool_calls")]
