"""One row of a file into one record, or into the reason why not. A pure function: no files, no counters, no order.

Decides which layout reads the row, and applies every rule that a row can be judged by alone. What needs the other
rows (duplicates, contradictions) is not here.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from steps.preprocess.layouts.formats import Format, Pair, Row, by_name, detect, nearest, preference_scores
from steps.preprocess.read import literals
from steps.preprocess.read.sources import RawRow
from steps.preprocess.rows.json_values import kind, refuse_nul
from steps.preprocess.rows.messages import check_answer, check_prompt
from steps.preprocess.rows.notes import Notes, new_notes
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tool_calls import call_fault
from steps.preprocess.rows.tools import Declared, declare
from steps.shared.records import EncodedRecord, Messages, Tools, canonical, canonical_messages, content, pair_id

TOO_DEEP = "nested too deep to be a preference pair"
LOWER_CASE = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
ASCII_SPACE = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"  # what str.split() takes for white space, in ASCII

Lengths = tuple[int, int, int]  # of prompt (with its tools), chosen and rejected
CountTokens = Callable[[Messages, Messages, Messages, Tools], Lengths]
DeclareTools = Callable[[Any], Declared]  # the tools of a row, from what the row has for them


class ConvertedRow(NamedTuple):
    """A record ready to be written, and what the counts of a run need to know about it.

    Attributes:
        identity: 16 bytes; see steps.shared.records.pair_id.
        prompt_key: 16 bytes; equal for prompts that count as the same one.
        called: names of the tools that `chosen` calls.
        chosen_faults: faulty calls of prompt and chosen (undeclared, arguments, malformed); kept by policy alone.
        rejected_faults: the same of rejected, where they are legitimate negatives.
        scores: of chosen and rejected, where the row has some.
    """

    record: EncodedRecord
    identity: bytes
    prompt_key: bytes
    prompt: Messages
    characters: Lengths
    tokens: Lengths | None
    has_tools: bool
    called: list[str]
    rejected_calls: bool
    chosen_faults: list[str]
    rejected_faults: list[str]
    scores: tuple[float, float] | None


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


def file_layout(head: Sequence[RawRow], rules: Rules) -> Layout:
    """The layout that the rules name, or else the one that most of a file's first rows fit."""
    if rules.format:
        return Layout(by_name(rules.format), strict=True)
    votes: Counter[str] = Counter()
    for raw in head:
        try:
            layout = detect(_parse(raw, rules.columns))
        except InvalidRow:
            continue
        if layout:
            votes[layout.name] += 1
    return Layout(by_name(votes.most_common(1)[0][0]) if votes else None)


def convert(
    raw: RawRow,
    layout: Layout,
    rules: Rules,
    declare_tools: DeclareTools = declare,
    count_tokens: CountTokens | None = None,
) -> ConvertedRow:
    """Read one row and check it by the rules.

    Args:
        declare_tools: reads the row's tools; a ToolReader's own for many rows, since it remembers those before.
        count_tokens: counts the row's tokens; None where nobody asks for them.

    Raises:
        InvalidRow: with the code and the sentence that go into quarantine.
    """
    row = _parse(raw, rules.columns)
    format = layout.of(row)
    try:
        return _converted(raw, row, format, rules, declare_tools, count_tokens)
    except (RecursionError, orjson.JSONEncodeError):
        raise InvalidRow(Reason.TOO_DEEP, TOO_DEEP) from None


def _converted(
    raw: RawRow,
    row: Row,
    format: Format,
    rules: Rules,
    declare_tools: DeclareTools,
    count_tokens: CountTokens | None,
) -> ConvertedRow:
    noted = new_notes(keep_faulty_calls=rules.tool_calls == "keep")
    pair = format.read(row, noted)
    declared = declare_tools(format.tools(row))
    prompt = _with_system(pair.prompt, format.system(row))
    called, rejected_calls = _check(prompt, pair, declared, noted)
    conversations = (prompt, pair.chosen, pair.rejected)
    texts = prompt_text, chosen_text, rejected_text = tuple(map(orjson.dumps, conversations))
    if b"\\u0000" in b"".join(texts):
        refuse_nul(conversations)
    asked, chosen, rejected = map(canonical_messages, conversations, texts)
    if chosen == rejected:
        raise InvalidRow(Reason.SAME_RESPONSE, "chosen and rejected are the same")
    identity = pair_id(asked, chosen, rejected, declared.digest)
    characters = (
        _characters(prompt) + len(declared.text or b""),
        _characters(pair.chosen),
        _characters(pair.rejected),
    )
    if rules.max_characters is not None:
        _check_length(characters, rules.max_characters, "characters")
    tokens = None
    if count_tokens:
        tokens = count_tokens(*conversations, orjson.loads(declared.text) if declared.text else None)
        if rules.max_tokens is not None:
            _check_length(tokens, rules.max_tokens, "tokens")
    return ConvertedRow(
        EncodedRecord(
            identity.hex(), prompt_text, chosen_text, rejected_text, declared.text, format.name, raw.file, raw.line
        ),
        identity,
        prompt_key(prompt),
        prompt,
        characters,
        tokens,
        declared.text is not None,
        called,
        rejected_calls,
        noted.chosen.faults or [],
        noted.rejected.faults or [],
        preference_scores(row),
    )


def _parse(raw: RawRow, columns: dict[str, str]) -> Row:
    if raw.problem:
        raise raw.problem
    try:
        row = literals.loads(raw.data)
    except orjson.JSONDecodeError as error:
        raise _diagnose(raw.data, error) from None
    if type(row) is not dict:
        raise InvalidRow(Reason.WRONG_TYPE, f"the row is {kind(row)}; must be an object")
    if not columns:
        return row
    own = {name: row.pop(given) for name, given in columns.items() if given in row}
    return {**row, **own}


def _diagnose(data: bytes, error: orjson.JSONDecodeError) -> InvalidRow:
    if b"\0" in data:
        return InvalidRow(Reason.NUL_BYTE, f"a NUL byte at byte {data.index(0)} of the row")
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return InvalidRow(Reason.INVALID_UTF8, f"not UTF-8 at byte {fault.start} of the row")
    return InvalidRow(Reason.NOT_JSON, f"{error} (byte {len(error.doc[: error.pos].encode())} of the row)")


def _with_system(prompt: Messages, system: Any) -> Messages:
    """Put a system text, which several layouts have in a field of its own, before the prompt."""
    if not system:
        return prompt
    if not isinstance(system, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"system is {kind(system)}; must be text")
    if prompt and prompt[0]["role"] == "system":
        if prompt[0]["content"] != system:
            raise InvalidRow(Reason.PROMPT_MISMATCH, "system and the prompt's own system turn say different things")
        return prompt
    return [{"role": "system", "content": system}, *prompt]


def _check(prompt: Messages, pair: Pair, declared: Declared, noted: Notes) -> tuple[list[str], bool]:
    """Check the messages by the rules; returns the names that chosen calls, and whether rejected calls any."""
    check_answer(pair.chosen, "chosen")
    check_answer(pair.rejected, "rejected")
    check_prompt(prompt)
    called = []
    for call in _calls(pair.chosen):
        called.append(call["function"]["name"])
        fault = call_fault(call, declared)
        if fault:
            noted.chosen.note_fault(fault[0], f"chosen {fault[1]}")
    calls = _calls(pair.rejected)
    for call in calls:
        if fault := call_fault(call, declared):
            noted.rejected.note_fault(fault[0], f"rejected {fault[1]}")
    return called, bool(calls)


def _calls(messages: Messages) -> list[dict[str, Any]]:
    if len(messages) == 1:
        return messages[0].get("tool_calls", [])
    return [call for message in messages if "tool_calls" in message for call in message["tool_calls"]]


def _characters(messages: Messages) -> int:
    """Characters that a reader of the conversation sees: contents, and calls as JSON."""
    count = 0
    for message in messages:
        count += len(message["content"])
        if "tool_calls" in message:
            count += sum(len(orjson.dumps(call["function"])) for call in message["tool_calls"])
    return count


def _check_length(lengths: Lengths, limit: int, unit: str) -> None:
    prompt, chosen, rejected = lengths
    if prompt + max(chosen, rejected) > limit:
        said = f"prompt {prompt}, chosen {chosen}, rejected {rejected}"
        raise InvalidRow(Reason.TOO_LONG, f"prompt and longer answer exceed {limit} {unit} ({said})")


def prompt_key(prompt: Messages) -> bytes:
    """What makes two prompts the same one: their texts and calls, without the tools, as 16 bytes.

    Case, Unicode form (NFKC) and white space do not count, so that a prompt typed twice does not leak.
    """
    parts: list[str] = []
    for message in prompt:
        parts += (message["role"], "\1", message["content"], "\2")
        if "tool_calls" in message:
            parts.append(canonical(content([message])[0]["tool_calls"]).decode())
    text = "".join(parts)
    if text.isascii():
        folded = text.encode().translate(LOWER_CASE, ASCII_SPACE)
    else:
        folded = "".join(unicodedata.normalize("NFKC", text).casefold().split()).encode()
    return hashlib.sha256(folded).digest()[:16]


def validation_limit(fraction: float) -> bytes:
    """The prompts whose key is below this are held out: a pure function of the prompt, at a share of `fraction`.

    A larger fraction moves rows from train to validation and none back.
    """
    return min(int(fraction * 2**64), 2**64 - 1).to_bytes(8, "big")
