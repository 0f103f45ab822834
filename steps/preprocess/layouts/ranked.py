"""Layouts of several answers to a prompt with scores or ranks, and the choice of pairs among them.

Each layout lists its answers; which of them become pairs is the user's choice (rows/rules.py), the same for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any, NamedTuple

from steps.preprocess.layouts import transcripts
from steps.preprocess.layouts.labelled import asked, number
from steps.preprocess.rows.json_values import kind
from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Notes
from steps.preprocess.rows.pairs import Pair, Row
from steps.preprocess.rows.reasons import InvalidRow, Reason, key_names
from steps.preprocess.rows.rules import Pairing

ANSWER_LISTS = ("responses", "generations", "completions", "candidates", "answers")
SCORE_LISTS = {
    **dict.fromkeys(("scores", "ratings", "rewards", "score", "rating", "reward"), 1),
    **dict.fromkeys(("ranks", "rank"), -1),  # the lowest rank is best
}
NOTHING = (None, "N/A")  # what stands for a score that is missing
SAID = ("response", "answer", "completion", "text", "content", "output", "generation")
SCORED = {"score": 1, "rating": 1, "reward": 1, "rank": -1}  # the lowest rank is best
OVERALL = ("overall_score", "fine-grained_score")  # UltraFeedback's, of which all answers have the same


Entry = dict[str, Any]  # an answer of a list as the row has it


class Answer(NamedTuple):
    """One answer of a list: what it says, where it stands, and how good it is; more is better."""

    said: Any
    where: str
    score: float


class Chosen(NamedTuple):
    """The pairs of a list, better and worse, and how many that were wanted are ties."""

    pairs: list[tuple[Answer, Answer]]
    ties: int


def choose(answers: list[Answer], rule: Pairing) -> Chosen:
    """The pairs that a rule takes; of more than it allows, those that differ most. The order of a list breaks ties.

    Raises:
        InvalidRow: one_sided where there are not two answers.
    """
    if len(answers) < 2:
        count = "1 answer" if answers else "0 answers"
        raise InvalidRow(Reason.ONE_SIDED, f"{count} to the prompt; a pair needs two")
    ranked = sorted(answers, key=lambda answer: -answer.score)  # equal ones stay in their order
    wanted: Iterable[tuple[Answer, Answer]]
    if rule.pairs == "best_worst":
        wanted = [(ranked[0], ranked[-1])]
    elif rule.pairs == "best_vs_rest":
        wanted = [(ranked[0], other) for other in ranked[1:]]
    else:
        wanted = itertools.combinations(ranked, 2)
    pairs, ties = [], 0
    for better, worse in wanted:
        difference = better.score - worse.score
        if difference > 0 and difference >= rule.min_score_difference:
            pairs.append((better, worse))
        else:
            ties += 1
    if rule.max_pairs is not None and len(pairs) > rule.max_pairs:
        pairs = sorted(pairs, key=lambda pair: pair[1].score - pair[0].score)[: rule.max_pairs]
    return Chosen(pairs, ties)


def read(field: str) -> Callable[[Row, Notes], Pair]:
    """A function that reads a chosen pair, which stands in the row as `chosen` and `rejected`, behind the prompt."""

    def read_pair(row: Row, notes: Notes) -> Pair:
        return Pair(
            asked(row[field], field, notes.chosen),
            conversation(row["chosen"], "chosen", notes.chosen),
            conversation(row["rejected"], "rejected", notes.rejected),
        )

    return read_pair


def read_nectar(row: Row, notes: Notes) -> Pair:
    texts = all(isinstance(row[name], str) for name in ("prompt", "chosen", "rejected"))
    return (transcripts.read if texts and transcripts.is_sure(row) else read("prompt"))(row, notes)


def _entries(row: Row, field: str, known: Iterable[str], unread: dict[str, Any]) -> list[tuple[Entry, str]]:
    """The objects of a list and where they stand; what they have besides the known keys is noted."""
    entries = []
    for index, entry in enumerate(row[field]):
        where = f"{field}[{index}]"
        if not isinstance(entry, dict):
            raise InvalidRow(Reason.WRONG_TYPE, f"{where} is {kind(entry)}; must be an object")
        unread.update(
            (f"{field}[].{name}", value) for name, value in entry.items() if name not in known and value is not None
        )
        entries.append((entry, where))
    return entries


def _listed(field: str, said: str, score: str, sign: int) -> Callable[[Row, dict[str, Any]], list[Answer]]:
    def answer(entry: dict[str, Any], where: str) -> Answer:
        value = _score(_value(entry, score, where), f"{where}.{score}")
        return Answer(_value(entry, said, where), where, sign * value)

    def listed(row: Row, unread: dict[str, Any]) -> list[Answer]:
        return _complete(_entries(row, field, (said, score), unread), answer, field, unread)

    return listed


def _complete(
    entries: list[tuple[Entry, str]], read: Callable[[Entry, str], Answer], field: str, unread: dict[str, Any]
) -> list[Answer]:
    """The answers of a list without those that miss their text or score, which are noted, while two are left.

    Raises:
        InvalidRow: what the first of them misses, where fewer are left.
    """
    answers, incomplete = [], []
    for entry, where in entries:
        try:
            answers.append(read(entry, where))
        except InvalidRow as reason:
            if reason.code != Reason.MISSING_FIELD:
                raise
            incomplete.append((entry, reason))
    if incomplete and len(answers) < 2:
        raise incomplete[0][1]
    unread.update((f"{field}[]", entry) for entry, _ in incomplete)
    return answers


def _value(entry: dict[str, Any], name: str, where: str) -> Any:
    if entry.get(name) is None:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no {name}; it has: {key_names(entry)}")
    return entry[name]


def _score(value: Any, where: str) -> float:
    if value in NOTHING:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} is {'null' if value is None else value}; must be a number")
    return number(value, where)


nectar = _listed("answers", "answer", "rank", -1)
nemo_rl = _listed("completions", "completion", "rank", -1)


def ultrafeedback(row: Row, unread: dict[str, Any]) -> list[Answer]:
    """Scored by what most answers have: `overall_score`, `fine-grained_score`, or the mean of their ratings."""
    entries = _entries(row, "completions", ("response", *OVERALL, "annotations"), unread)
    score = max((*OVERALL, "annotations"), key=lambda name: sum(_has(entry, name) for entry, _ in entries))
    if not any(_has(entry, score) for entry, _ in entries):
        score = "annotations"
    unread.update((f"completions[].{name}", entry[name]) for entry, _ in entries for name in (*OVERALL, "annotations")
                  if name != score and entry.get(name) is not None)  # fmt: skip

    def answer(entry: Entry, where: str) -> Answer:
        is_rated = score == "annotations"
        value = _rated(entry, where) if is_rated else _score(entry.get(score), f"{where}.{score}")
        return Answer(_value(entry, "response", where), where, value)

    return _complete(entries, answer, "completions", unread)


def _has(entry: Entry, name: str) -> bool:
    return entry.get(name) is not None and entry[name] not in (*NOTHING, {})


def has_responses(row: Row) -> bool:
    """Whether a list's first answer, if it has one, is UltraFeedback's."""
    return _begins_with(row["completions"], "response")


def has_completions(row: Row) -> bool:
    """Whether a list's first answer, if it has one, is NeMo RL's."""
    return _begins_with(row["completions"], "completion")


def _begins_with(answers: list[Any], key: str) -> bool:
    return not answers or (isinstance(answers[0], dict) and key in answers[0])


def _rated(entry: dict[str, Any], where: str) -> float:
    """The mean of an answer's ratings, of which each aspect has one, or a list of them."""
    aspects = entry.get("annotations")
    found = list(aspects.values()) if isinstance(aspects, dict) else []
    ratings = [note.get("Rating") for aspect in found for note in (aspect if isinstance(aspect, list) else [aspect])
               if isinstance(note, dict)]  # fmt: skip
    if not ratings:
        raise InvalidRow(Reason.MISSING_FIELD, f"{where} has no overall_score and no ratings")
    return fmean(_score(rating, f"{where}.annotations") for rating in ratings)


def vertex(row: Row, unread: dict[str, Any]) -> list[Answer]:
    scored = _listed("completions", "completion", "score", 1)(row, unread)
    return [answer._replace(said=_content(answer.said, f"{answer.where}.completion")) for answer in scored]


def read_vertex(row: Row, notes: Notes) -> Pair:
    turns = [_content(turn, f"contents[{index}]") for index, turn in enumerate(row["contents"])]
    return read("contents")({**row, "contents": turns}, notes)


def vertex_system(row: Row) -> Any:
    given = row.get("systemInstruction")
    if not isinstance(given, dict):
        return given or row.get("system")
    return "".join(part["text"] for part in _content(given, "systemInstruction")["content"])


def _content(turn: Any, where: str) -> dict[str, Any]:
    """A turn of Gemini's API as a chat message; its parts must be texts."""
    parts = turn.get("parts") if isinstance(turn, dict) else None
    if not isinstance(parts, list):
        raise InvalidRow(Reason.WRONG_TYPE, f"{where} must be a content with a role and parts")
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise InvalidRow(Reason.WRONG_TYPE, f"{where}.parts[{index}] is no text; only texts can be trained on here")
    return {**{name: value for name, value in turn.items() if name != "parts"}, "content": parts}


def has_scored_answers(row: Row) -> bool:
    """Whether a row has one list of objects that each have one answer and one score."""
    return _keys(row) is not None


def _keys(row: Row) -> tuple[str, str, str] | None:
    """The list's name, and the keys of answer and score in its first object."""
    found = [name for name in ANSWER_LISTS if row.get(name) is not None]
    answers = row[found[0]] if len(found) == 1 else None
    first = answers[0] if isinstance(answers, list) and answers else None
    if answers == [] and not any(name in row for name in SCORE_LISTS):
        return found[0], SAID[0], "score"
    if not isinstance(first, dict):
        return None
    said, scored = [name for name in SAID if name in first], [name for name in SCORED if name in first]
    return (found[0], said[0], scored[0]) if len(said) == len(scored) == 1 else None


def may_be_nectar(row: Row) -> bool:
    """Whether the answers of a row are not scored in another way than by `answer` and `rank`."""
    return not row["answers"] or _keys(row) in (None, ("answers", "answer", "rank"))


def scored_answers(row: Row, unread: dict[str, Any]) -> list[Answer]:
    keys = _keys(row)
    if keys is None:
        raise InvalidRow(Reason.MISSING_FIELD, "no list of answers with a score or a rank each")
    return _listed(*keys, SCORED[keys[2]])(row, unread)


def has_lists(row: Row) -> bool:
    """Whether a row has one list of answers and one of as many scores."""
    return _lists(row) is not None


def _lists(row: Row) -> tuple[str, str] | None:
    answers = [name for name in ANSWER_LISTS if row.get(name) is not None]
    scores = [name for name in SCORE_LISTS if isinstance(row.get(name), list)]
    if len(answers) != 1 or len(scores) != 1:
        return None
    both = row[answers[0]], row[scores[0]]
    is_pair = all(isinstance(value, list) for value in both) and len(both[0]) == len(both[1])
    return (answers[0], scores[0]) if is_pair else None


def lists(row: Row, unread: dict[str, Any]) -> list[Answer]:
    names = _lists(row)
    if names is None:
        raise InvalidRow(Reason.MISSING_FIELD, "no list of answers beside a list of as many scores")
    said, scored = names

    def answer(entry: Entry, where: str) -> Answer:
        value = _score(entry[scored], where.replace(said, scored))
        return Answer(_value(entry, said, where), where, SCORE_LISTS[scored] * value)

    both = zip(row[said], row[scored], strict=True)
    entries = [({said: text, scored: score}, f"{said}[{index}]") for index, (text, score) in enumerate(both)]
    return _complete(entries, answer, said, unread)
