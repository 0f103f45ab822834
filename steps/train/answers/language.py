"""Whether two texts are in the same script and, where that is Latin, in one language: a guess, and only a sure one.

The script is that of most letters, by the names that Unicode gives to characters. Of texts in Latin letters, seven
languages are told apart by small words that no other one of the seven has; any other language is "unknown" and never
called another one. Texts too short to tell are never called another language either.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

FEWEST_LETTERS = 12  # of which a script is told; a name or a number proves nothing
FEWEST_WORDS = 4  # small words of a language, of which it is told …
CLEAR = 0.8  # … if so large a share of all that were found is its own
KANA = 0.05  # share of letters; from here on, Chinese characters are Japanese writing

SMALL_WORDS = {
    "English": "the and of to that with you are this for it be your can have from which would should there",
    "German": "der und ist nicht ein eine mit für sie auf ich das zu den dem wird auch sich bei oder aber wie",
    "French": "le les est et une dans pour vous avec pas sur du qui nous cette aux il mais être sont",
    "Spanish": "el los las y del por una lo como más pero sus al este puede su muy hay ser también",
    "Italian": "il di che è della gli sono questo nel delle dei anche più alla puoi degli essere ho",
    "Portuguese": "os não uma com em é você ao dos são mais seu sua pela isso também às ou foi",
    "Dutch": "het een van niet dat zijn voor met op je ook aan er naar wordt maar kan deze bij",
}
_OWNERS = Counter(word for small in SMALL_WORDS.values() for word in small.split())
LANGUAGE_OF = {
    word: language for language, small in SMALL_WORDS.items() for word in small.split() if _OWNERS[word] == 1
}
LETTERS = re.compile(r"[^\W\d_]+")


def differs(said: str, expected: str) -> bool:
    """The first text is surely in another script or language than the second."""
    return _differ(script(said), script(expected)) or _differ(language(said), language(expected))


def script(text: str) -> str | None:
    """The script of most letters, such as LATIN, CYRILLIC, HAN or JAPANESE; None where there are too few letters."""
    counts = Counter(_script_of(letter) for word in LETTERS.findall(text) for letter in word)
    letters = sum(counts.values())
    if letters < FEWEST_LETTERS:
        return None
    kana = counts.pop("HIRAGANA", 0) + counts.pop("KATAKANA", 0)
    if kana:
        japanese = kana >= KANA * letters
        counts["JAPANESE" if japanese else "HAN"] += kana + (counts.pop("HAN", 0) if japanese else 0)
    return counts.most_common(1)[0][0]


def language(text: str) -> str | None:
    """One of `SMALL_WORDS`; None where it cannot be told."""
    counts = Counter(
        LANGUAGE_OF[word] for word in (found.lower() for found in LETTERS.findall(text)) if word in LANGUAGE_OF
    )
    if not counts:
        return None
    name, most = counts.most_common(1)[0]
    return name if most >= FEWEST_WORDS and most >= CLEAR * sum(counts.values()) else None


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _script_of(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
    return "HAN" if name == "CJK" else name
