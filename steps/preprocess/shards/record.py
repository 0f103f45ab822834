"""One pair of a row into one record, or into the reason why not. A pure function: no files, no counters, no order.

Applies every rule that a pair can be judged by alone. What needs the other rows (duplicates, contradictions) is not
here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from steps.preprocess.layouts import beside
from steps.preprocess.layouts.format import Format
from steps.preprocess.layouts.formats import beside_of
from steps.preprocess.layouts.scores import preference_scores
from steps.preprocess.rows.json_values import refuse_lost_digits, refuse_nul
from steps.preprocess.rows.notes import Done, Notes, new_notes
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.rules import Rules
from steps.preprocess.rows.tool_calls import call_fault
from steps.preprocess.rows.tools import Declared, declare
from steps.preprocess.rows.turn_order import check_answer, check_prompt
from steps.preprocess.shards.prompt_keys import prompt_key
from steps.preprocess.shards.template_arguments import own_arguments
from steps.preprocess.texts.tidy import tidied
from steps.shared.records import (
    ARGUMENTS,
    EncodedRecord,
    Messages,
    TemplateArguments,
    Tools,
    canonical,
    canonical_messages,
    pair_id,
)

Lengths = tuple[int, int, int]  # of prompt (with its tools), chosen and rejected
CountTokens = Callable[[Messages, Messages, Messages, Tools, TemplateArguments], Lengths]
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
        done: what was done to the row's texts, or was seen in them; see Done.
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
    done: list[Done]
    unread: dict[str, Any]


class Reading(NamedTuple):
    """How a row is read.

    Attributes:
        name: of the layout, in the record.
        others: what the row has beside the fields that its layout reads.
    """

    layout: Format
    name: str
    others: beside.Beside

    @classmethod
    def of(cls, layout: Format, fields: tuple[str, ...], name: str | None = None) -> Reading:
        """How a row with these fields is read; `name` where it is another than the layout's own."""
        return cls(layout, name or layout.name, beside_of(layout.name, fields))


@dataclass(frozen=True)
class Recorder:
    """Makes records by the rules.

    Attributes:
        declare_tools: reads a row's tools; a ToolReader's own for many rows, since it remembers those before.
        count_tokens: counts a pair's tokens; None where nobody asks for them.
    """

    rules: Rules
    declare_tools: DeclareTools = declare
    count_tokens: CountTokens | None = None

    def record(self, raw: RawRow, row: Row, reading: Reading) -> ConvertedRow:
        """One pair; its row is as the reading's layout reads it.

        Raises:
            InvalidRow: with the code and the sentence that go into quarantine.
        """
        rules = self.rules
        notes = new_notes(keep_faulty_calls=rules.tool_calls == "keep")
        layout, name, others = reading
        pair = layout.read(row, notes)
        declared = self._declared(row, layout, others, notes)
        pair = tidied(pair, None if declared.text is None else declared.required, notes, rules)
        arguments = None
        if ARGUMENTS in others.meaning:
            arguments = own_arguments(row, rules.chat_template_kwargs, notes)
        if notes.large or declared.large:
            refuse_lost_digits(raw.data, *notes.large[:1] or ["a tool's schema"])
        prompt, system = pair.prompt, layout.system(row)
        if others.meaning:
            prompt = beside.complete(prompt, row, system, others.meaning, notes)
        elif system:
            prompt = beside.with_system(prompt, system)
        scores = preference_scores(row) if others.scores else None
        for field in others.unread:
            if row[field] is not None:
                notes.unread[field] = row[field]
        for field in others.scores:
            if row[field] is not None and (scores is None or field not in scores.fields):
                notes.unread[field] = row[field]
        called, rejected_calls = _check(prompt, pair, declared, notes)
        conversations = (prompt, pair.chosen, pair.rejected)
        texts = prompt_text, chosen_text, rejected_text = tuple(map(orjson.dumps, conversations))
        if b"\\u0000" in b"".join(texts):
            refuse_nul(conversations)
        asked, chosen, rejected = map(canonical_messages, conversations, texts)
        if chosen == rejected:
            raise InvalidRow(Reason.SAME_RESPONSE, "chosen and rejected are the same")
        of_template = (canonical(arguments), orjson.dumps(arguments)) if arguments else (b"", None)
        identity = pair_id(asked, chosen, rejected, declared.digest, of_template[0])
        characters, tokens = self._lengths(conversations, declared, arguments)
        return ConvertedRow(
            EncodedRecord(
                *(identity.hex(), prompt_text, chosen_text, rejected_text, declared.text, name, raw.file, raw.line),
                of_template[1],
            ),
            identity,
            prompt_key(prompt),
            prompt,
            characters,
            tokens,
            declared.text is not None,
            called,
            rejected_calls,
            notes.chosen.faults or [],
            notes.rejected.faults or [],
            scores[:2] if scores else None,
            notes.done,
            notes.unread,
        )

    def _declared(self, row: Row, layout: Format, others: beside.Beside, notes: Notes) -> Declared:
        """The tools of the row; what nothing reads in there is noted."""
        given = layout.tools(row)
        if others.meaning:
            given = beside.declared_tools(row, given, others.meaning, self._are_same_tools)
        declared = self.declare_tools(given)
        if declared.unread:
            notes.unread.update(declared.unread)
        for place, tools in notes.tools:
            if self.declare_tools(tools).digest != declared.digest:
                said = f"{place} declares tools that the row's own tools are not; write them as the row's tools"
                raise InvalidRow(Reason.TOOLS_INVALID, said)
        return declared

    def _are_same_tools(self, one: Any, other: Any) -> bool:
        return self.declare_tools(one).digest == self.declare_tools(other).digest

    def _lengths(
        self,
        conversations: tuple[Messages, Messages, Messages],
        declared: Declared,
        arguments: TemplateArguments,
    ) -> tuple[Lengths, Lengths | None]:
        """In characters, and in tokens where they are counted; raises InvalidRow, too_long."""
        prompt, chosen, rejected = map(_characters, conversations)
        characters = (prompt + len(declared.text or b""), chosen, rejected)
        if self.rules.max_characters is not None:
            _check_length(characters, self.rules.max_characters, "characters")
        if self.count_tokens is None:
            return characters, None
        tools = orjson.loads(declared.text) if declared.text else None
        tokens = self.count_tokens(*conversations, tools, arguments)
        if self.rules.max_tokens is not None:
            _check_length(tokens, self.rules.max_tokens, "tokens")
        return characters, tokens


def _check(prompt: Messages, pair: Pair, declared: Declared, notes: Notes) -> tuple[list[str], bool]:
    """Check the messages by the rules; returns the names that chosen calls, and whether rejected calls any."""
    check_answer(pair.chosen, "chosen")
    check_answer(pair.rejected, "rejected")
    check_prompt(prompt)
    called = []
    for call in _calls(pair.chosen):
        called.append(call["function"]["name"])
        fault = call_fault(call, declared)
        if fault:
            notes.chosen.note_fault(fault[0], f"chosen {fault[1]}")
    calls = _calls(pair.rejected)
    for call in calls:
        if fault := call_fault(call, declared):
            notes.rejected.note_fault(fault[0], f"rejected {fault[1]}")
    return called, bool(calls)


def _calls(messages: Messages) -> list[dict[str, Any]]:
    if len(messages) == 1:
        return messages[0].get("tool_calls", [])
    return [call for message in messages if "tool_calls" in message for call in message["tool_calls"]]


def _characters(messages: Messages) -> int:
    """Characters that a reader of the conversation sees: contents, and calls as JSON."""
    if len(messages) == 1 and "tool_calls" not in messages[0]:
        return len(messages[0]["content"])  # as most answers are
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
