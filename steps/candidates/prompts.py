"""The prompts to answer: Collect's judged answers without a counterpart, and a user's own, each prompt once.

A row of one's own has `prompt` (a text, or chat messages), and may have `tools`, `chat_template_kwargs` and
`reference`, the right answer, by which calls are judged (`chosen` is taken for it, so that pairs can be given too);
other fields are left alone. Two prompts are the same one by the split's key, with the same tools and template
arguments. Collect's come first, those that were spoken of last before the others, then one's own as they stand.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from steps.candidates.states import State
from steps.collect.exchange import read_messages
from steps.preprocess.layouts.beside import PROVENANCE
from steps.preprocess.read.inputs import find_inputs
from steps.preprocess.read.sources import read_rows
from steps.preprocess.rows.notes import new_notes
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.preprocess.rows.tools import ToolReader
from steps.preprocess.rows.turn_order import check_answer, check_prompt
from steps.preprocess.shards.parse import parsed
from steps.preprocess.shards.prompt_keys import prompt_key
from steps.preprocess.shards.template_arguments import own_arguments
from steps.shared.records import ARGUMENTS, Messages, Tools, canonical

UNPAIRED, OWN = "unpaired", "prompts"
REFERENCES = ("reference", "chosen")


@dataclass(eq=False)
class Prompt:
    """
    Attributes:
        key: equal for prompts that count as the same one; 32 hexadecimal digits.
        source, file, line: where it stood first.
        reference: the right answer, or one that people are for; None where none is known.
        against: answers that people are against.
        inference_ids: of the captures that Collect took them from.
        state: what became of it; None until it is known, and then `reason` may say more.
    """

    messages: Messages
    tools: Tools
    arguments: dict[str, Any]
    key: str
    source: str
    file: str
    line: int
    reference: Messages | None = None
    against: list[Messages] = field(default_factory=list)
    inference_ids: list[str] = field(default_factory=list)
    state: State | None = None
    reason: str = ""

    def end(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason

    def know(self, other: Prompt) -> None:
        """Take over what a later row knows of answers to the same prompt."""
        self.reference = self.reference or other.reference
        self.against += other.against
        self.inference_ids += [one for one in other.inference_ids if one not in self.inference_ids]


@dataclass
class Given:
    """All that was given.

    Attributes:
        prompts: each once.
        passed: states of the lines that are none of them.
        named: of lines that are no prompt: (source, file, line, state, reason).
    """

    prompts: list[Prompt] = field(default_factory=list)
    passed: Counter[State] = field(default_factory=Counter)
    named: list[tuple[str, str, int, State, str]] = field(default_factory=list)

    def open(self) -> list[Prompt]:
        """Those whose state is not known yet."""
        return [prompt for prompt in self.prompts if prompt.state is None]


def read(unpaired: Path | None, own: Path | None, pairs: Path | None) -> Given:
    """
    Args:
        pairs: Collect's, whose prompts have a pair.

    Raises:
        StepError: a folder or a file cannot be read.
    """
    given, reader = Given(), _Reader()
    known: dict[str, Prompt] = {}
    for source, path in ((UNPAIRED, unpaired), (OWN, own)):
        for raw, row in _rows(path):
            try:
                prompt = reader.prompt(raw, row, source)
            except InvalidRow as error:
                given.passed[State.UNREADABLE] += 1
                given.named.append((source, raw.file, raw.line, State.UNREADABLE, str(error)))
                continue
            if prompt.key in known:
                given.passed[State.DUPLICATE] += 1
                known[prompt.key].know(prompt)
            else:
                known[prompt.key] = prompt
    for raw, row in _rows(pairs):
        try:
            key = reader.prompt(raw, row, UNPAIRED).key
        except InvalidRow:
            continue  # Preprocess counts it
        if key in known:
            known[key].end(State.HAS_PAIR)
    of_collect = [prompt for prompt in known.values() if prompt.source == UNPAIRED]
    given.prompts = [*reversed(of_collect), *(prompt for prompt in known.values() if prompt.source == OWN)]
    return given


def _rows(path: Path | None) -> Iterator[tuple[RawRow, dict[str, Any] | InvalidRow]]:
    for label, file in find_inputs(path).files if path else ():
        yield from parsed(read_rows(label, file))


class _Reader:
    """Reads one row after another, and remembers the tools of those before: most declare the same."""

    def __init__(self) -> None:
        self._tools = ToolReader()

    def prompt(self, raw: RawRow, row: dict[str, Any] | InvalidRow, source: str) -> Prompt:
        """
        Raises:
            InvalidRow: it is none.
        """
        if isinstance(row, InvalidRow):
            raise row
        if "prompt" not in row:
            raise InvalidRow(Reason.MISSING_FIELD, "the row has no prompt")
        messages = _prompt(row["prompt"], raw.data)
        declared = self._tools.declare(row.get("tools"))
        arguments = _arguments(row)
        parts = (prompt_key(messages), declared.digest, canonical(arguments) if arguments else b"")
        tools = orjson.loads(declared.text) if declared.text else None
        key = hashlib.sha256(b"".join(parts)).hexdigest()[:32]
        prompt = Prompt(messages, tools, arguments, key, source, raw.file, raw.line)
        if source == OWN:
            given = next((row[name] for name in REFERENCES if row.get(name) is not None), None)
            prompt.reference = None if given is None else _answer(given, raw.data)
        elif "answer" in row:
            self._judged(prompt, row, raw.data)
        return prompt

    def _judged(self, prompt: Prompt, row: dict[str, Any], written: bytes) -> None:
        answer = _answer(row["answer"], written)
        if row.get("verdict") == "up":
            prompt.reference = answer
        else:
            prompt.against.append(answer)
        about = row.get(PROVENANCE)
        ids = about.get("inference_ids", []) if isinstance(about, dict) else []
        prompt.inference_ids += [one for one in ids if isinstance(one, str)]


def _prompt(value: Any, written: bytes) -> Messages:
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    messages = read_messages(value, "prompt", written)
    check_prompt(messages)
    return messages


def _answer(value: Any, written: bytes) -> Messages:
    answer = read_messages(value, "the answer", written)
    check_answer(answer, "the answer")
    return answer


def _arguments(row: dict[str, Any]) -> dict[str, Any]:
    return (own_arguments(row, "{}", new_notes(keep_faulty_calls=False)) or {}) if ARGUMENTS in row else {}
