"""Questions in batches: of like length, and together those that begin with the same tokens, which are computed once.

A batch's rows are laid out so that nothing stands between a shared beginning and what follows it: every row computes
the same number of tokens itself, the last ones of its prompt, and takes what is before them from the shared ones. So a
row is padded on its left alone, and a model's sliding windows see what they see in a row by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

Prompt = tuple[int, ...]

SHORTEST = 16  # tokens: computing fewer once is no gain over another forward pass


@dataclass(frozen=True)
class Batch:
    """Questions that are answered together, by their numbers.

    Attributes:
        of_rank: each rank's; one that would have none repeats another's, since forward passes are collective.
        shared: the tokens that all prompts of all ranks begin with and that are computed once; empty where that is no
            gain.
        own: how many tokens of its prompt each row computes itself; without shared ones, of the longest prompt.
    """

    of_rank: tuple[tuple[int, ...], ...]
    shared: Prompt
    own: int


def batches(prompts: Sequence[Prompt], *, ranks: int, new: int, most: int, shares: bool = True) -> list[Batch]:
    """All questions, those first that are first among the prompts: should the time end, no length is preferred.

    Args:
        new: tokens of an answer at most.
        most: tokens that one rank's batch may hold, answers included; a question by itself may have more.
        shares: a beginning can be computed once for several rows.
    """
    full: list[list[int]] = []
    rest: list[int] = []
    for group in _groups(prompts) if shares else [list(range(len(prompts)))]:
        # What does not fill a batch goes with others of its length: a batch more is as many passes more as an answer
        # has tokens, and computing what a group shares is one.
        *parts, last = _cut(prompts, group, ranks, new, most)
        full += parts
        rest += last
    full += _cut(prompts, rest, ranks, new, most)
    found = [_batch(prompts, together, ranks, shares) for together in full]
    return sorted(found, key=lambda batch: min(map(min, batch.of_rank)))


def shared_tokens(one: Prompt, other: Prompt) -> int:
    """How many tokens two prompts have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _groups(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Questions that share half of their prompts or more."""
    groups: list[list[int]] = []
    begin: Prompt = ()  # what the prompts of the last group have in common
    for number in sorted(range(len(prompts)), key=lambda number: prompts[number]):
        own = prompts[number]
        shared = shared_tokens(begin, own)
        if groups and shared >= SHORTEST and 2 * shared >= min(len(own), len(prompts[groups[-1][0]])):
            groups[-1].append(number)
            begin = begin[:shared]
        else:
            groups.append([number])
            begin = own
    return groups


def _cut(prompts: Sequence[Prompt], group: Iterable[int], ranks: int, new: int, most: int) -> list[list[int]]:
    """A group in parts that fit the ranks together."""
    parts: list[list[int]] = [[]]
    for number in sorted(group, key=lambda number: (len(prompts[number]), number)):
        rows = len(parts[-1]) // ranks + 1
        if parts[-1] and rows * (len(prompts[number]) + new) > most:
            parts.append([])
        parts[-1].append(number)
    return parts


def _batch(prompts: Sequence[Prompt], together: list[int], ranks: int, shares: bool) -> Batch:
    of_rank = tuple(tuple(together[rank::ranks]) or (together[0],) for rank in range(ranks))
    lengths = [len(prompts[number]) for number in together]
    first, last = min(prompts[number] for number in together), max(prompts[number] for number in together)
    shared = min(shared_tokens(first, last), min(lengths) - 1)  # a row's last token is its own: it says what is next
    own = max(lengths) - shared
    gains = shares and len(together) > ranks and shared >= SHORTEST and own <= min(lengths)
    return Batch(of_rank, first[:shared], own) if gains else Batch(of_rank, (), max(lengths))
