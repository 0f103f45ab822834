"""Other names that people give to prompt, chosen and rejected, read as these where nothing else can be meant.

A row's own `prompt`, `chosen`, `rejected` or `messages` come first. A prompt is read by another name only where one
such field is there, and where the answers are not whole conversations, which have their prompt inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from steps.preprocess.layouts import ranked, transcripts, two_answers
from steps.preprocess.layouts.formats import detect
from steps.preprocess.rows.messages import ROLES
from steps.preprocess.rows.pairs import Row

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
KNOWN = frozenset((*PROMPTS, *TURNS, "input", *(name for pair in ANSWERS for name in pair if name != "rejected")))


def read(row: Row) -> Row:
    """The row with its synonyms under the names that the layouts know; the same row where there are none."""
    if row.get("messages") is not None or not _may_have(tuple(row)) or all(name in row for name in OPENAI):
        return row  # layouts with turns of their own have such names for their answers
    names = dict(_renamed({name: value for name, value in row.items() if value is not None}))
    if not names:
        return row
    kept = {name: value for name, value in row.items() if value is not None or name not in names.values()}
    return {names.get(name, name): value for name, value in kept.items()}


@lru_cache(1024)
def _may_have(names: tuple[str, ...]) -> bool:
    return not KNOWN.isdisjoint(names)


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
    if any(name in given for name in OWN_PROMPTS) or (worse not in given and not _has_other_answers(given)):
        return
    asked = [name for name in PROMPTS if name in given]
    if not asked and isinstance(given.get("input"), str):
        asked = ["input"]
    talks = [name for name in TURNS if isinstance(given.get(name), list)]
    if len(talks) == 1 and not asked:
        yield talks[0], "messages"
    elif len(asked) == 1 and not talks and not _is_whole(given.get(better), given.get(worse)):
        yield asked[0], "prompt"


def _has_other_answers(given: Row) -> bool:
    """Whether a row has answers with a label or with scores, of no layout that knows its prompt by this name."""
    has_answers = two_answers.is_there(given) or ranked.has_lists(given) or ranked.has_scored_answers(given)
    return has_answers and detect(given) is None


def _is_whole(chosen: object, rejected: object) -> bool:
    """Whether the answers are conversations with the prompt in them."""
    if isinstance(chosen, str) and isinstance(rejected, str):
        return transcripts.is_sure({"chosen": chosen, "rejected": rejected})
    first = chosen[0] if isinstance(chosen, list) and chosen else None
    role = first.get("role", first.get("from")) if isinstance(first, dict) else None
    return isinstance(role, str) and ROLES.get(role) != "assistant"
