"""The texts of a row as token ids, with the mask of what is learned."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from steps.shared.templates.answer import AnswerText
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import PairText


@dataclass(frozen=True)
class PairIds:
    """Token ids; a mask is 1 where a token of the answer is learned, and as long as its ids."""

    prompt: list[int]
    chosen: list[int]
    chosen_mask: list[int]
    rejected: list[int]
    rejected_mask: list[int]


def pair_ids(template: ChatTemplate, pair: PairText) -> PairIds:
    prompt = template.ids(pair.prompt)
    return PairIds(
        prompt,
        *_answer(template, pair.prompt, prompt, pair.chosen),
        *_answer(template, pair.prompt, prompt, pair.rejected),
    )


def _answer(
    template: ChatTemplate, prompt: str, prompt_ids: list[int], answer: AnswerText
) -> tuple[list[int], list[int]]:
    texts = [text for text, _ in answer.pieces]
    parts = _split(template, prompt, prompt_ids, texts)
    ids = [number for part in parts for number in part]
    mask = [int(learned) for part, (_, learned) in zip(parts, answer.pieces, strict=True) for _ in part]
    return ids, mask


def _split(template: ChatTemplate, before: str, before_ids: list[int], texts: list[str]) -> list[list[int]]:
    """Token ids of each of the texts, which follow `before`.

    They are cut from the ids of the whole where a token ends at the border. Where one would reach over it ("\\n" and
    "\\n\\n" are often one token), what follows the border is tokenised apart.
    """
    whole = template.ids(before + "".join(texts))
    if whole[: len(before_ids)] != before_ids:
        return _split(template, "", [], texts)
    bounds = [len(before_ids)]
    for count in range(1, len(texts)):
        bound = _bound(template, whole, before, texts, count)
        if bound is None:
            head = _split(template, before, before_ids, texts[:count])
            return head + _split(template, "", [], texts[count:])
        bounds.append(bound)
    bounds.append(len(whole))
    return [whole[start:end] for start, end in pairwise(bounds)]


def _bound(template: ChatTemplate, whole: list[int], before: str, texts: list[str], count: int) -> int | None:
    """How many tokens of the whole are those up to the end of `count` texts; None where a token reaches over it."""
    if count == len(texts) - 1 and len(texts[count]) < len(before):
        last = template.ids(texts[count])  # a line break, mostly
        if last and whole[-len(last) :] == last:
            return len(whole) - len(last)
    head = template.ids(before + "".join(texts[:count]))
    return len(head) if whole[: len(head)] == head else None
