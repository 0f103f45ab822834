"""One row of a file into one record, or into the reason why not. A pure function: no files, no counters, no order.

Decides which layout reads the row, and applies every rule that a row can be judged by alone. What needs the other
rows (duplicates, contradictions) is not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from steps.preprocess.layouts import beside, one_sided, synonyms
from steps.preprocess.layouts.format import Format
from steps.preprocess.layouts.formats import beside_of, by_name, detect, nearest
from steps.preprocess.layouts.ranked import choose
from steps.preprocess.layouts.scores import preference_scores
from steps.preprocess.read.sources import RawRow
from steps.preprocess.rows.json_values import kind, refuse_nul
from steps.preprocess.rows.messages import check_answer, check_prompt
from steps.preprocess.rows.notes import Notes, new_notes
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tool_calls import call_fault
from steps.preprocess.rows.tools import Declared, declare
from steps.preprocess.shards.prompt_keys import prompt_key
from steps.shared.records import EncodedRecord, Messages, Tools, canonical_messages, pair_id

TOO_DEEP = "nested too deep to be a preference pair"

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
        unread: what nothing reads, by its place in the row.
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
    unread: dict[str, Any]


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
        raise one_sided.refusal(row) or nearest(row, self.format).explain(row)


def file_layout(head: Sequence[RawRow], rules: Rules) -> Layout:
    """The layout that the rules name, or else the one that most of a file's first rows fit."""
    if rules.format:
        return Layout(by_name(rules.format), strict=True)
    votes: Counter[str] = Counter()
    for raw in head:
        try:
            layout = detect(_parse(raw, rules))
        except InvalidRow:
            continue
        if layout:
            votes[layout.name] += 1
    return Layout(by_name(votes.most_common(1)[0][0]) if votes else None)


class Converted(NamedTuple):
    """What a row came to: the one pair that most rows are, or all pairs of a list of answers.

    Attributes:
        rows: a record or the reason why not, for each pair; at least one.
        ties: of a list of answers: how many pairs were passed over because their scores do not differ enough.
    """

    rows: list[ConvertedRow | InvalidRow]
    ties: int | None = None


def convert(
    raw: RawRow,
    layout: Layout,
    rules: Rules,
    declare_tools: DeclareTools = declare,
    count_tokens: CountTokens | None = None,
) -> ConvertedRow:
    """The first pair of a row, which most rows have alone; as `convert_all`, but raises the InvalidRow."""
    first = convert_all(raw, layout, rules, declare_tools, count_tokens).rows[0]
    if isinstance(first, InvalidRow):
        raise first
    return first


def convert_all(
    raw: RawRow,
    layout: Layout,
    rules: Rules,
    declare_tools: DeclareTools = declare,
    count_tokens: CountTokens | None = None,
) -> Converted:
    """Read one row and check it by the rules.

    Args:
        declare_tools: reads the row's tools; a ToolReader's own for many rows, since it remembers those before.
        count_tokens: counts the row's tokens; None where nobody asks for them.
    """
    unread: dict[str, Any] = {}
    try:
        row = _parse(raw, rules)
        format = layout.of(row)
        inner, row = format.opened(row)
        fields = tuple(row)
        if inner.listed is None:
            return Converted([_converted(raw, row, fields, inner, format.name, rules, declare_tools, count_tokens)])
        pairs, ties = choose(inner.listed(row, unread), rules.pairing)
    except InvalidRow as reason:
        return Converted([reason])
    except (RecursionError, orjson.JSONEncodeError):
        return Converted([InvalidRow(Reason.TOO_DEEP, TOO_DEEP)])
    rows: list[ConvertedRow | InvalidRow] = []
    for better, worse in pairs:
        pair = {**row, "chosen": better.said, "rejected": worse.said}
        try:
            found = _converted(raw, pair, fields, inner, format.name, rules, declare_tools, count_tokens)
            found.unread.update(unread)
            rows.append(found)
        except InvalidRow as reason:
            rows.append(InvalidRow(reason.code, f"{better.where} against {worse.where}: {reason}"))
        except (RecursionError, orjson.JSONEncodeError):
            rows.append(InvalidRow(Reason.TOO_DEEP, TOO_DEEP))
    return Converted(rows or [InvalidRow(Reason.TIED, "the scores of the answers do not differ enough")], ties)


def _converted(
    raw: RawRow,
    row: Row,
    fields: tuple[str, ...],
    inner: Format,
    name: str,
    rules: Rules,
    declare_tools: DeclareTools,
    count_tokens: CountTokens | None,
) -> ConvertedRow:
    """One pair of a row; `fields` are those that the row has in its file, and `name` is the layout's in the record."""
    noted = new_notes(keep_faulty_calls=rules.tool_calls == "keep")
    others = beside_of(inner.name, fields)
    pair = inner.read(row, noted)
    declared = declare_tools(_tools(inner, row, others, declare_tools))
    prompt, system = pair.prompt, inner.system(row)
    if others.meaning:
        prompt = beside.complete(prompt, row, system, others.meaning, rules.chat_template_kwargs, noted)
    elif system:
        prompt = beside.with_system(prompt, system)
    scores = preference_scores(row)
    for field in others.unread if scores or not others.scores else (*others.unread, *others.scores):
        if row[field] is not None:
            noted.unread[field] = row[field]
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
        EncodedRecord(identity.hex(), prompt_text, chosen_text, rejected_text, declared.text, name, raw.file, raw.line),
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
        scores,
        noted.unread,
    )


def _tools(format: Format, row: Row, others: beside.Beside, declare_tools: DeclareTools) -> Any:
    """What the row has for its tools."""
    own = format.tools(row)
    if not others.meaning:
        return own
    return beside.declared_tools(
        row, own, others.meaning, lambda one, other: declare_tools(one).digest == declare_tools(other).digest
    )


def _parse(raw: RawRow, rules: Rules) -> Row:
    if raw.problem:
        raise raw.problem
    try:
        row: Row = orjson.loads(raw.data)
    except orjson.JSONDecodeError as error:
        raise _diagnose(raw.data, error) from None
    if type(row) is not dict:
        raise InvalidRow(Reason.WRONG_TYPE, f"the row is {kind(row)}; must be an object")
    if rules.columns:
        row = _with_columns(row, rules.columns)
    for name in rules.ignore_fields:
        row.pop(name, None)
    return synonyms.read(row)


def _with_columns(row: Row, columns: dict[str, str]) -> Row:
    """The row with its fields under the step's names; what stood under such a name already is nobody's then."""
    own = {name: row.pop(given) for name, given in columns.items() if given in row}
    replaced = {f"{name} (replaced by {columns[name]})": row[name] for name in own if name in row}
    return {**row, **own, **replaced}


def _diagnose(data: bytes, error: orjson.JSONDecodeError) -> InvalidRow:
    if b"\0" in data:
        return InvalidRow(Reason.NUL_BYTE, f"a NUL byte at byte {data.index(0)} of the row")
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return InvalidRow(Reason.INVALID_UTF8, f"not UTF-8 at byte {fault.start} of the row")
    return InvalidRow(Reason.NOT_JSON, f"{error} (byte {len(error.doc[: error.pos].encode())} of the row)")


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
