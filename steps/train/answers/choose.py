"""Which held-out prompts are answered, and as which token ids: those that an endpoint would make of them.

Every prompt once, however many rows have it. Strata are the layouts of the raw data, with and without tools; each
gives in proportion to its prompts, and its first one before any gives a second. Within a stratum a hash of the prompt
decides, so that the same data give the same questions, and more data mostly the same and others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from steps.shared.records import Messages, Record, Tools, canonical, canonical_messages
from steps.shared.templates.answer import AnswerText
from steps.shared.templates.boundary import common
from steps.shared.templates.calls import in_some_form
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import render_pair
from steps.shared.templates.refused import RowRefused
from steps.train.answers.said import Question

NO_GENERATION, TOO_LONG = "template_no_generation", "too_long"
SAID = ("¤¤¤", "§§§")  # two answers that begin differently


@dataclass(frozen=True)
class Chosen:
    """
    Attributes:
        not_asked: reason -> rows that were looked at and have no prompt to answer: template_no_generation, too_long, or
            one of templates.refused.MEANINGS.
    """

    questions: tuple[Question, ...]
    not_asked: dict[str, int]


def choose(
    records: Sequence[Record], used: Collection[str], template: ChatTemplate, count: int, most_tokens: int
) -> Chosen:
    """
    Args:
        used: ids of the records that could be tokenised; no others are asked.
        count: how many questions, where there are as many.
        most_tokens: of a prompt; a longer one is not asked.
    """
    ids = set(used)
    questions: list[Question] = []
    not_asked: Counter[str] = Counter()
    for record in _in_order([record for record in records if record.id in ids]):
        if len(questions) == count:
            break
        try:
            question = _question(record, template.given(record.chat_template_kwargs))
        except RowRefused as refused:
            not_asked[refused.reason] += 1
            continue
        reason = NO_GENERATION if question is None else TOO_LONG if len(question.prompt_ids) > most_tokens else None
        if question is None or reason:
            not_asked[reason or NO_GENERATION] += 1
            continue
        questions.append(question)
    return Chosen(tuple(questions), dict(not_asked))


def _in_order(records: Sequence[Record]) -> Iterator[Record]:
    """A record of every prompt, those first that are asked first."""
    of_prompt: dict[bytes, Record] = {}
    for record in records:
        key = _prompt_key(record)
        known = of_prompt.get(key)
        of_prompt[key] = record if known is None else min(known, record, key=lambda one: _digest(one.id.encode()))
    strata: dict[tuple[str, bool], list[bytes]] = defaultdict(list)
    for key, record in of_prompt.items():
        strata[record.format, bool(record.tools)].append(key)
    places = [
        (rank / len(keys), stratum, key)
        for stratum, keys in strata.items()
        for rank, key in enumerate(sorted(keys))  # a key is a hash already
    ]
    return (of_prompt[key] for _, _, key in sorted(places))


def _prompt_key(record: Record) -> bytes:
    """What makes two prompts the same."""
    parts = canonical_messages(record.prompt), canonical(record.tools), canonical(record.chat_template_kwargs)
    return _digest(b"\n".join(parts))


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _question(record: Record, template: ChatTemplate) -> Question | None:
    """The record as a question; None where the template does not open the assistant's turn.

    Raises:
        RowRefused: the template does not write the row.
    """
    with template.limited():
        opens = in_some_form(template, [record.prompt], lambda forms: _opens(template, forms[0], record.tools))
    if not opens:
        return None
    pair = render_pair(template, record.prompt, record.chosen, record.rejected, record.tools)
    chosen = _first_turn(pair.chosen, template)
    return Question(record, pair.prompt, tuple(template.ids(pair.prompt)), chosen, len(template.ids(chosen)) + 1)


def _opens(template: ChatTemplate, prompt: Messages, tools: Tools) -> bool:
    """Whether an answer follows the prompt's text at once. A template without a generation prompt writes the header of
    the assistant's turn with the answer only; some need none, as Mistral's, whose answers follow the user's turn."""
    text = template.text(prompt, tools, generation=True)
    if text != template.text(prompt, tools):
        return True
    one, other = (template.text([*prompt, {"role": "assistant", "content": said}], tools) for said in SAID)
    return not (one.startswith(text) and one[len(text) : common(one, other)].strip())


def _first_turn(answer: AnswerText, template: ChatTemplate) -> str:
    """What the model would write of an answer until inference stops, without the stop token: where a tool's result and
    more turns follow, the first turn alone."""
    turn = next((text for text, learned in answer.pieces if learned), "")
    for stop in sorted({*template.ends, *template.specials}, key=len, reverse=True):
        if stop and turn.endswith(stop):
            return turn.removesuffix(stop)
    return turn
