"""A pair as its layout read it, with what its texts hold besides text put right, and told.

In this order: a template's markers go, a prompt that an answer repeats goes on request, calls that are written as text
become calls, and turns that follow one by the same speaker are joined on request.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from steps.preprocess.rows.blocks import REASONING
from steps.preprocess.rows.notes import Done, Notes, Side
from steps.preprocess.rows.pairs import Pair
from steps.preprocess.rows.rules import Rules
from steps.preprocess.texts.calls import BEGINNINGS as CALL_BEGINNINGS
from steps.preprocess.texts.calls import holds_mark, is_other_json, may_hold_calls, read_calls, writes_calls
from steps.preprocess.texts.markers import (
    ANSWER_BEGINNINGS,
    ANSWER_ENDS,
    FIRST_CHARACTERS,
    LAST_CHARACTERS,
    end_marker,
    starts_rendered,
)
from steps.preprocess.texts.rendered import ends_rendered, refused, strip_end, unwrap_answer, unwrap_prompt
from steps.shared.records import Messages

FIELDS = ("chosen", "rejected")
BEGINNINGS = (*ANSWER_BEGINNINGS, *CALL_BEGINNINGS)


def tidied(pair: Pair, declared: Collection[str] | None, notes: Notes, rules: Rules) -> Pair:
    """The pair, ready for the rules of turns; what was done to it is in `notes.done`.

    Args:
        declared: the names of the row's tools; None where it declares none: calls that are written as text stay text.

    Raises:
        InvalidRow: rendered_text, or tool_call_invalid.
    """
    if _may_need_it(pair):
        pair = _unwrapped(pair, notes)
        pair = _without_repeats(pair, notes, rules.strip_prompt)
        pair = _with_calls(pair, declared, notes)
    return Pair(*(_merged(messages, notes) for messages in pair)) if rules.merge_turns else pair


def _may_need_it(pair: Pair) -> bool:
    """Whether any text may hold what is looked for here; most rows hold none, and this is quick."""
    asked = ""
    for message in pair.prompt:
        asked = message["content"]
        if asked.startswith(FIRST_CHARACTERS) or asked.endswith(LAST_CHARACTERS):
            return True
        if message["role"] == "assistant" and may_hold_calls(asked):
            return True
    for answer in pair[1:]:
        for message in answer:
            text = message["content"]
            if not text:
                continue
            if text.startswith(BEGINNINGS) or text.endswith(ANSWER_ENDS) or "Action Input" in text:
                return True
            if ("<" in text and holds_mark(text)) or (asked and text.startswith(asked)):
                return True
    return False


def _unwrapped(pair: Pair, notes: Notes) -> Pair:
    """The pair without the markers of a chat template."""
    prompt, rendered, template = pair.prompt, None, None
    if len(prompt) == 1 and prompt[0]["role"] == "user":
        if found := unwrap_prompt(prompt[0]["content"]):
            rendered = prompt[0]["content"]
            prompt, template = found
    else:
        for message in prompt:
            asked = message is prompt[-1] and message["role"] == "user"
            if starts_rendered(message["content"]) or (asked and ends_rendered(message["content"])):
                raise refused(f"a turn of the prompt by the {message['role']}", message["content"])
    given = [[message["content"] for message in messages] for messages in (pair.chosen, pair.rejected)]
    texts = [
        [
            unwrap_answer(text, prompt, rendered, template, field) if message["role"] == "assistant" else text
            for text, message in zip(given[side], pair[side + 1], strict=True)
        ]
        for side, field in enumerate(FIELDS)
    ]
    if template is None and texts[0] and texts[1] and (end_marker(texts[0][-1]) or end_marker(texts[1][-1])):
        asked = "\n".join(message["content"] for message in prompt)
        better, worse = texts[0][-1], texts[1][-1]
        texts[0][-1], texts[1][-1] = strip_end(better, worse, asked), strip_end(worse, better, asked)
    if texts == given and template is None:
        return pair
    notes.note_done(Done.UNWRAPPED)
    chosen, rejected = (
        [{**message, "content": text} for message, text in zip(messages, own, strict=True)]
        for messages, own in zip(pair[1:], texts, strict=True)
    )
    return Pair(prompt, chosen, rejected)


def _without_repeats(pair: Pair, notes: Notes, strip: bool) -> Pair:
    """The pair; with `strip`, its answers without the prompt that they begin with."""
    asked = pair.prompt[-1]["content"] if pair.prompt else ""
    answers = [_without_prompt(messages, asked) for messages in (pair.chosen, pair.rejected)]
    if answers == [None, None]:
        return pair
    notes.note_done(Done.PROMPT_STRIPPED if strip else Done.PROMPT_REPEATED)
    return Pair(pair.prompt, answers[0] or pair.chosen, answers[1] or pair.rejected) if strip else pair


def _without_prompt(answer: Messages, asked: str) -> Messages | None:
    """An answer without the prompt before it; None where it does not begin with it, or with a word of it at most."""
    if not answer or not asked or not answer[0]["content"].startswith(asked) or len(asked.split()) < 2:
        return None
    rest = answer[0]["content"].removeprefix(asked)
    if not rest.strip() or not (rest[0].isspace() or asked[-1].isspace()):
        return None
    return [{**answer[0], "content": rest.lstrip()}, *answer[1:]]


def _with_calls(pair: Pair, declared: Collection[str] | None, notes: Notes) -> Pair:
    """The pair with the calls that it writes as text as calls, where the row declares tools."""
    sides = (notes.chosen, notes.chosen, notes.rejected)
    return Pair(*(_read(messages, declared, side, notes) for messages, side in zip(pair, sides, strict=True)))


def _read(messages: Messages, declared: Collection[str] | None, side: Side, notes: Notes) -> Messages:
    if not any(_may_call(message) for message in messages):
        return messages
    read: Messages = []
    responding = False  # whether the turns of tools that come next answer calls that were text
    for index, message in enumerate(messages):
        if message["role"] == "tool" and responding:
            read += _responses(message)
            continue
        responding = False
        answered = messages[index + 1 : index + 2]
        if not _may_call(message) or not writes_calls(message["content"]):
            read.append(message)
            continue
        if declared is not None and is_other_json(message["content"], declared):
            read.append(message)
            continue
        found = read_calls(message["content"], "a text", side) if declared is not None else None
        if found is None or (answered and answered[0]["role"] != "tool"):
            notes.note_done(Done.CALLS_AS_TEXT)
            read.append(message)
            continue
        notes.note_done(Done.CALLS_READ)
        read.append({**message, "content": found[0], "tool_calls": found[1]})
        responding = True
    return read


def _may_call(message: dict[str, Any]) -> bool:
    return message["role"] == "assistant" and "tool_calls" not in message and may_hold_calls(message["content"])


def _responses(message: dict[str, Any]) -> Messages:
    """A tool's turn without the marks that Hermes has around each response in it; each is a turn of its own."""
    before, *parts = message["content"].split("<tool_response>")
    found = [part.partition("</tool_response>") for part in parts]
    if before.strip() or not found or any(not closed or after.strip() for _, closed, after in found):
        return [message]
    return [{**message, "content": text.strip()} for text, _, _ in found]


def _merged(messages: Messages, notes: Notes) -> Messages:
    """The messages with those that follow one by the same speaker joined to it, an empty line between their texts."""
    runs: list[Messages] = []  # of one speaker each; joined at the end, since texts that grow would be copied each time
    calls, name = False, None  # of the run so far
    for message in messages:
        if runs and message.get("name") == name and _joins(runs[-1][0]["role"], calls, message):
            runs[-1].append(message)
            calls = calls or "tool_calls" in message
            notes.note_done(Done.MERGED)
        else:
            runs.append([message])
            calls, name = "tool_calls" in message, message.get("name")
    return [_joined(run) if len(run) > 1 else run[0] for run in runs]


def _joins(role: str, calls: bool, message: dict[str, Any]) -> bool:
    """Whether a message goes on with those before it. What is said after a call waits for the call's result."""
    if role != message["role"] or role == "tool":
        return False
    return not calls or ("tool_calls" in message and not message["content"].strip())


def _joined(run: Messages) -> dict[str, Any]:
    joined = dict(run[0])
    for key in ("content", REASONING):
        texts = [said[key] for said in run if said.get(key)]
        if texts:
            joined[key] = "\n\n".join(texts)
    calls = [call for said in run for call in said.get("tool_calls", [])]
    joined.pop("tool_calls", None)
    return {**joined, "tool_calls": calls} if calls else joined
