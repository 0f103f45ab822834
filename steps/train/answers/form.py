"""What is wrong with the form of an answer, whatever it says: told from the answer alone, without a judge.

An answer that has one of the `FAULTS` is called degenerate. None of the rules asks for a length: a good short answer, a
list, a table and code have no fault. What they find is not all that can go wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

EMPTY, UNFINISHED, REPETITIVE, MARKER = "empty", "unfinished", "repetitive", "marker"
FAULTS = (EMPTY, UNFINISHED, REPETITIVE, MARKER)

# Welleck et al. 2020 (arXiv:1908.04319, section 6.1) measure repetition as seq-rep-4, the share of an answer's 4-grams
# that stood in it before: 0.44 where greedy decoding loops, 0.005 in people's texts. Above the limit an answer is
# repetitive. Of 1,800 answers in two public preference sets (tables, code and lists of numbers among them) the highest
# is 0.40. In fewer 4-grams than FEWEST, a refrain is no loop yet.
NGRAM, MOST_REPEATED, FEWEST = 4, 0.5, 16
# Holtzman et al. 2020 (arXiv:1904.09751, section 5.4) call it a repetition when the end of an answer is a phrase, said
# at least three times: found where a loop began late. Asked here besides: that the repeats are so many words (a row of
# a table's zeros is no loop), and of a phrase at most so long (which bounds the time).
TIMES, LOOPED, LONGEST_PHRASE = 3, 24, 200

# Signs that begin and end turns in common templates and never stand in an answer. Those of the model's own template are
# its special tokens; these are written in letters by a model that has learned another one's, or its own badly.
TURNS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "[INST]", "[/INST]", "<<SYS>>", "<start_of_turn>", "<end_of_turn>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>", "<|system|>", "<|user|>",
    "<|assistant|>",
)  # fmt: skip
# Special tokens that a model writes on purpose: of calls, of reasoning and of what answers are divided into.
ON_PURPOSE = re.compile(r"tool|call|think|reason|python|function|channel|message|constrain|arg|response", re.IGNORECASE)

# Words; a sign of a script that puts no spaces between words counts as one, so does a run of punctuation, and a word
# longer than any is cut into letters, so that "hahahaha…" is a loop.
SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{SPACELESS}]|[^\W{SPACELESS}]+|[^\w\s]+")
LONGEST_WORD = 30


class Markers:
    """The signs that must not stand in an answer to one of these questions."""

    def __init__(self, specials: Iterable[str], chosen: Iterable[str]):
        """
        Args:
            specials: the special tokens of the tokenizer, those at which inference stops included.
            chosen: the chosen answers as the template writes them. What stands in one of them belongs there.
        """
        candidates = {*TURNS, *(special for special in specials if special.strip())}
        wrong = [sign for sign in candidates if not ON_PURPOSE.search(sign)]
        good = "\n".join(chosen)
        self._wrong = tuple(sorted(sign for sign in wrong if sign not in good))
        self._specials = tuple(sorted(candidates, key=len, reverse=True))

    def found(self, text: str) -> str | None:
        """The first in order of the alphabet that stands in the text."""
        return next((sign for sign in self._wrong if sign in text), None)

    def without(self, text: str) -> str:
        """The text without any special token, those that belong there included."""
        for sign in self._specials:
            text = text.replace(sign, "")
        return text


def faults(content: str, markers: Markers, *, calls: bool, ended: bool) -> tuple[str, ...]:
    """What is wrong with an answer's form, in the order of `FAULTS`; nothing, if it is in order.

    Args:
        content: the answer without the calls in it.
        calls: there are calls in it: then it is not empty.
        ended: a stop token came within the tokens allowed, or is not to be blamed for being none.
    """
    found = {
        EMPTY: not calls and not markers.without(content).strip(),
        UNFINISHED: not ended,
        REPETITIVE: is_repetitive(content),
        MARKER: markers.found(content) is not None,
    }
    return tuple(name for name in FAULTS if found[name])


def is_repetitive(text: str) -> bool:
    """The text says the same words over and over, or ends in doing so; see the limits above."""
    said = words(text)
    return repeated_share(said) > MOST_REPEATED or ends_in_a_loop(said)


def words(text: str) -> list[str]:
    """What is counted as a word: see WORD; case makes no difference."""
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        found.extend(word if len(word) > LONGEST_WORD and word[0].isalnum() else [word])
    return found


def repeated_share(said: Sequence[str]) -> float:
    """seq-rep-4: 1 - distinct 4-grams / 4-grams; 0 where there are fewer than FEWEST."""
    count = len(said) - NGRAM + 1
    if count < FEWEST:
        return 0.0
    return 1 - len({tuple(said[at : at + NGRAM]) for at in range(count)}) / count


def ends_in_a_loop(said: Sequence[str]) -> bool:
    """The last words are one phrase, said three times at least; the last time may be cut short."""
    return any(_periodic_end(said, period) for period in range(1, min(LONGEST_PHRASE, len(said) // TIMES) + 1))


def _periodic_end(said: Sequence[str], period: int) -> bool:
    """The last words, max(3 phrases, LOOPED) of them, each equal the one a phrase before."""
    needed = max(TIMES * period, LOOPED)
    if needed > len(said):
        return False
    return all(said[at] == said[at - period] for at in range(len(said) - 1, len(said) - needed + period - 1, -1))
