"""Other names that people give to prompt, chosen and rejected, read as these where nothing else can be meant.

A row's own `prompt`, `chosen`, `rejected` or `messages` come first. A prompt is read by another name only where one
such field is there, and where the answers are not whole conversations, which have their prompt inside. Layouts of two
answers with a label, and of lists of answers, have a name each for the prompt: theirs is read by any of the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from steps.preprocess.layouts import conversations, json_columns, ranked, transcripts, two_answers
from steps.preprocess.layouts.formats import detect
from steps.preprocess.rows.messages import ROLES
from steps.preprocess.rows.pairs import Row
from steps.preprocess.rows.reasons import InvalidRow

PROMPTS = ("instruction", "question", "query")
TURNS = ("conversation", "dialogue", "dialog")
ANSWERS = (  # the better and the worse; the first that a row has
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("chosen_answer", "rejected_answer"),
    ("answer_chosen", "answer_rejected"),
    ("chosen_output", "rejected_output"),
    ("chosen_completion", "rejected_completion"),
    ("chosen_text", "rejected_text"),
    ("preferred", "rejected"),
    ("preferred", "dispreferred"),
    ("preferred", "non_preferred"),
    ("preferred_response", "dispreferred_response"),
    ("preferred_response", "non_preferred_response"),
    ("preferred_response", "rejected_response"),
    ("preferred_output", "dispreferred_output"),
    ("preferred_output", "non_preferred_output"),
    ("accepted", "rejected"),
    ("accepted_response", "rejected_response"),
    ("better", "worse"),
    ("better_response", "worse_response"),
    ("winner", "loser"),
    ("winning_response", "losing_response"),
    ("response_j", "response_k"),  # StackExchange-paired: j was voted higher
    ("response", "rejected_response"),  # ms-swift's query and response
)
OPENAI = ("input", "preferred_output", "non_preferred_output")
OWN_PROMPTS = ("prompt", "messages", "conversations")
KNOWN_AS = ("prompt", "context", "instruction")  # by which layouts of other answers than chosen and rejected know it
Names = dict[str, str]  # a layout's name of a field -> the row's
KNOWN = frozenset(
    (
        *(*PROMPTS, *TURNS, "input", *two_answers.ANSWERS, *ranked.ANSWER_LISTS),
        *(name for pair in ANSWERS for name in pair if name != "rejected"),
    )
)


def read(row: Row) -> tuple[Row, Names]:
    """The row with its synonyms under the names that the layouts know, and what it calls these.

    The same row, and no names, where there are no synonyms.
    """
    if are_plain(row) or _ends_with_chosen(row):
        return row, {}
    names = dict(_renamed({name: value for name, value in row.items() if value is not None}))
    if not names:
        return row, {}
    kept = {name: value for name, value in row.items() if value is not None or name not in names.values()}
    return {names.get(name, name): value for name, value in kept.items()}, {own: name for name, own in names.items()}


def named_reason(reason: InvalidRow, names: Names) -> InvalidRow:
    """A reason that says the row's own names of the fields too: `chosen (better) is empty`, `better[0] has no role`."""
    said = str(reason)
    for own, name in names.items():
        if place := re.search(rf"(?<![\w.]){own}(?!\w)", said):
            is_path = said[place.end() : place.end() + 1] == "["
            said = f"{said[: place.start()]}{name if is_path else f'{own} ({name})'}{said[place.end() :]}"
    return InvalidRow(reason.code, said)


def named_places(unread: dict[str, Any], names: Names) -> dict[str, Any]:
    """What nothing reads, by its place in the row as the row calls it."""
    parts = {place: place.partition("[") for place in unread}
    return {names.get(first, first) + sign + rest: unread[place] for place, (first, sign, rest) in parts.items()}


@lru_cache(1024)
def _may_have(names: tuple[str, ...]) -> bool:
    return not KNOWN.isdisjoint(names)


def are_plain(row: Row) -> bool:
    """Whether the names of a row's fields, and which of them are null, tell that none is a synonym.

    Its answers may be called as OpenAI's, or, beside messages, as When2Call's or ms-swift's.
    """
    if not _may_have(tuple(row)) or all(name in row for name in OPENAI):
        return True
    if row.get("messages") is None or row.get("chosen") is not None:
        return False
    if row.get("rejected_messages") is not None:
        return True
    return row.get("rejected_response") is not None and row.get("chosen_response") is not None


def _ends_with_chosen(row: Row) -> bool:
    """Whether a row is ms-swift's whose chosen answer is the last of its messages."""
    if row.get("messages") is None or row.get("chosen") is not None or row.get("rejected_response") is None:
        return False
    return conversations.ends_with_answer(row)


def _renamed(given: Row) -> Iterator[tuple[str, str]]:
    """The names that a row without nulls has, and those that stand for them."""
    better, worse = "chosen", "rejected"
    if "chosen" not in given:
        pairs = [pair for pair in ANSWERS if pair[0] in given and pair[1] in given]
        if any(set(pairs[0]).isdisjoint(other) for other in pairs):
            return
        if pairs:
            better, worse = pairs[0]
            yield from ((name, own) for name, own in ((better, "chosen"), (worse, "rejected")) if name != own)
    asked = _asked(given)
    if asked is None or (asked not in (*OWN_PROMPTS, *TURNS) and _is_whole(given.get(better), given.get(worse))):
        return
    if worse not in given:
        yield from ((asked, own) for own in _known_as(given, asked) if asked != own)
    elif asked not in OWN_PROMPTS:
        yield asked, "messages" if asked in TURNS else "prompt"


def _asked(given: Row) -> str | None:
    """The one field that holds the prompt."""
    own = next((name for name in OWN_PROMPTS if name in given), None)
    if own:
        return own
    texts = [name for name in PROMPTS if name in given]
    if not texts and isinstance(given.get("input"), str):
        texts = ["input"]
    found = texts + [name for name in TURNS if _is_talk(given.get(name))]
    return found[0] if len(found) == 1 else None


def _is_talk(value: object) -> bool:
    """Whether a value is a list of turns, or one as JSON."""
    return isinstance(value, list) or json_columns.is_sure({"messages": value})


def _known_as(given: Row, asked: str) -> Iterator[str]:
    """The name by which a layout of two answers or of a list of them reads the prompt of a row that none reads yet."""
    if _is_read(given):
        return
    for own in KNOWN_AS:
        if own not in given and _is_read({own if name == asked else name: value for name, value in given.items()}):
            yield own
            return


def _is_read(row: Row) -> bool:
    """Whether a layout knows the row, decoded where its messages are JSON."""
    found = detect(row)
    if found is None:
        return False
    try:
        inner, decoded = found.opened(row)
    except InvalidRow:
        return False
    return inner.recognises(decoded)


def _is_whole(chosen: object, rejected: object) -> bool:
    """Whether the answers are conversations with the prompt in them."""
    if isinstance(chosen, str) and isinstance(rejected, str):
        return transcripts.is_sure({"chosen": chosen, "rejected": rejected})
    first = chosen[0] if isinstance(chosen, list) and chosen else None
    role = first.get("role", first.get("from")) if isinstance(first, dict) else None
    return isinstance(role, str) and ROLES.get(role) != "assistant"
