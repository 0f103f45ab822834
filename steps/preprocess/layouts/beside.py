"""What a row has beside the fields that its layout reads: what carries meaning is read or refused, the rest is counted.

System texts, an input to the instruction, earlier turns and functions belong to the prompt by whichever name a row has
them. What cannot be trained on here, such as documents and images, refuses the row, unless the user says that the field
means nothing (`ignore_fields`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import orjson

from steps.preprocess.rows import json_texts
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.reasons import InvalidRow, Reason
from steps.shared.records import ARGUMENTS, Messages

SYSTEMS = ("system", "system_prompt", "system_message", "system_instruction", "systemPrompt", "sys_prompt")
TOOLS = ("tools", "functions", "available_tools", "available_functions", "tool_definitions")
HISTORIES = ("history", "chat_history", "conversation_history")
TEXTS = ("prompt", "instruction")  # to which an input belongs
QUOTED_WORDS = 4  # so many in a row are in a prompt by no chance
_SOURCES = "write it into the prompt, where it is not"
_MEDIA = "only text can be trained on; leave such rows out"
_OF_ONE_SIDE = "both answers must have the same tools; write them as tools"
UNSUPPORTED = {
    **dict.fromkeys(("documents", "document", "docs", "retrieved_documents"), _SOURCES),
    **dict.fromkeys(("context", "contexts", "passages", "passage"), _SOURCES),
    **dict.fromkeys(("images", "image", "img", "image_path", "image_url", "rejected_images"), _MEDIA),
    **dict.fromkeys(("videos", "video", "audios", "audio"), _MEDIA),
    **dict.fromkeys(("chosen_tools", "rejected_tools"), _OF_ONE_SIDE),
    "initial_reason_steps": "both answers go on from it; write them whole",
}
PROVENANCE = "provenance"  # where a row came from, as Collect writes it: for people, and no part of the pair
OF_THE_PROMPT = frozenset((*SYSTEMS[1:], *TOOLS[1:], *HISTORIES, "input", ARGUMENTS))


class Beside(NamedTuple):
    """The names of fields that rows have beside those that their layout reads.

    Attributes:
        meaning: fields that belong to the pair, or refuse it.
        unread: fields that nothing reads.
        scores: fields that may hold scores of chosen and rejected.
    """

    meaning: tuple[str, ...]
    unread: tuple[str, ...]
    scores: tuple[str, ...]


def sort_fields(fields: Iterable[str], own: Collection[str], scores: tuple[str, ...]) -> Beside:
    """Sort a row's fields, without those that its layout reads, and without tools and system, which all read."""
    others = [name for name in fields if name not in own and name not in (SYSTEMS[0], TOOLS[0], PROVENANCE)]
    meaning = tuple(name for name in others if name in OF_THE_PROMPT or name in UNSUPPORTED)
    return Beside(meaning, tuple(name for name in others if name not in meaning and name not in scores), scores)


def declared_tools(row: Row, own: Any, names: Iterable[str], same: Callable[[Any, Any], bool]) -> Any:
    """The tools of a row, by whichever name it has them; those of one side must be the same.

    Args:
        own: what the layout found.
        same: whether two values declare the same tools; may raise InvalidRow.

    Raises:
        InvalidRow: tools_invalid where two fields differ, unsupported_field where one side has tools of its own.
    """
    found = TOOLS[0]
    for name in names:
        value = row[name]
        if not value or name not in (*TOOLS, "chosen_tools", "rejected_tools"):
            continue
        if name not in TOOLS:
            if not same(own, value):
                raise unsupported(name)
        elif not own:
            own, found = value, name
        elif not same(own, value):
            raise InvalidRow(Reason.TOOLS_INVALID, f"{found} and {name} declare different tools")
    return own


def complete(prompt: Messages, row: Row, system: Any, names: Iterable[str], notes: Notes) -> Messages:
    """The prompt with what belongs to it.

    Args:
        system: what the layout found as the system's text.
        names: the row's fields that carry meaning.

    Raises:
        InvalidRow: a field holds what it cannot, says something else than another one, or cannot be trained on.
    """
    given = {name: row[name] for name in names if not is_empty(row[name])}
    if "input" in given:
        prompt = _with_input(prompt, row)
    for name in (name for name in UNSUPPORTED if name in given and not name.endswith("_tools")):
        if UNSUPPORTED[name] is not _SOURCES or not _is_said(given[name], prompt):
            raise unsupported(name)
    prompt = _with_histories(prompt, given, notes)
    prompt = with_system(prompt, system)
    for name in SYSTEMS[1:]:
        if name in given:
            prompt = with_system(prompt, given[name], name)
    return prompt


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, an empty text or list, as a table holds it too, or nothing but such."""
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}")
    if isinstance(value, list | dict):
        return all(map(is_empty, value.values() if isinstance(value, dict) else value))
    return value is None


def with_system(prompt: Messages, system: Any, name: str = SYSTEMS[0]) -> Messages:
    """Put a system text, which several layouts have in a field of its own, before the prompt."""
    if not system:
        return prompt
    if not isinstance(system, str):
        raise InvalidRow(Reason.WRONG_TYPE, f"{name} is {kind(system)}; must be text")
    if prompt and prompt[0]["role"] == "system":
        if prompt[0]["content"] != system:
            raise InvalidRow(Reason.PROMPT_MISMATCH, f"{name} and the prompt's own system turn say different things")
        return prompt
    return [{"role": "system", "content": system}, *prompt]


def unsupported(name: str, why: str | None = None) -> InvalidRow:
    """A field that refuses the row; what a user can do about it stands early, since long messages are cut."""
    ignore = f"if it means nothing: --ignore-field {name} (ignore_fields)"
    return InvalidRow(Reason.UNSUPPORTED_FIELD, f"{name}: {why or UNSUPPORTED[name]}; {ignore}")


def _is_said(value: Any, prompt: Messages) -> bool:
    """Whether a text stands in the prompt already.

    A few words may stand there by chance: they count as lines of their own, or from a colon to the line's end.
    """
    if not isinstance(value, str):
        return False
    text = value.strip()
    if len(text.split()) >= QUOTED_WORDS:
        return any(text in turn["content"] for turn in prompt)
    alone = re.compile(rf"(?:\A|\n|:[ \t]*){re.escape(text)}[ \t]*(?:\n|\Z)")
    return any(alone.search(turn["content"]) for turn in prompt)


def _with_input(prompt: Messages, row: Row) -> Messages:
    """The instruction, and its input on the next line; some data sets have both in the prompt already."""
    value = row["input"]
    if _is_said(value, prompt):
        return prompt
    is_text = len(prompt) == 1 and any(isinstance(row.get(name), str) for name in TEXTS)
    if not (is_text and isinstance(value, str)):
        raise unsupported("input", f"{kind(value)} that cannot follow the prompt, in which it is not")
    return [{**prompt[0], "content": f"{prompt[0]['content']}\n{value}"}]


def _with_histories(prompt: Messages, given: Row, notes: Notes) -> Messages:
    """The prompt behind its earlier turns, which a row may have by several names where they are the same."""
    names = [name for name in HISTORIES if name in given]
    for name in names[1:]:
        if given[name] != given[names[0]]:
            raise InvalidRow(Reason.PROMPT_MISMATCH, f"{names[0]} and {name} say different things")
    return _with_history(prompt, given[names[0]], names[0], notes) if names else prompt


def _with_history(prompt: Messages, value: Any, name: str, notes: Notes) -> Messages:
    """The turns before the prompt: pairs of what the user and the assistant said, or chat messages."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":  # as a table holds it
        try:
            value = json_texts.loads(value, name)
        except orjson.JSONDecodeError as error:
            raise InvalidRow(Reason.NOT_JSON, f"{name} is a text that is not JSON: {error}") from None
    if not isinstance(value, list):
        raise unsupported(name, f"it is {kind(value)}; must be [question, answer] pairs or chat messages")
    if all(isinstance(turn, dict) for turn in value):
        turns = conversation(value, name, notes.chosen)
    else:
        turns = [turn for index, pair in enumerate(value) for turn in _round(pair, f"{name}[{index}]")]
    before = 1 if prompt and prompt[0]["role"] == "system" else 0
    if prompt[before : before + len(turns)] == turns:
        return prompt
    return [*prompt[:before], *turns, *prompt[before:]]


def _round(pair: Any, where: str) -> Messages:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} must be two texts, what the user and the assistant said")
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=True)]
