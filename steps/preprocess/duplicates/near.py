"""Near-duplicate prompts: MinHash signatures, and the prompts that are nearly the same as one that came earlier.

The share of places in which two signatures agree estimates the Jaccard similarity of the two sets of shingles (Broder,
On the resemblance and containment of documents, 1997), with a standard error of at most 1/16. Only prompts that agree
in a whole band of places are compared (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, ch. 3.4): with b bands
of r places a pair of similarity s is missed with probability (1 - s^r)^b. The bands are as long as keeps that below 1%
at the threshold: 0.02% at 0.8 (16 bands of 4), 0.01% at 0.5 (32 of 2), at most; pairs more similar are missed less.

Case and white space do not count. Texts of few words, which one other word would make wholly different, are compared
by their characters; a text that is compared by words is never near one that is compared by characters.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator

import numpy as np

PERMUTATIONS = 64
SHINGLE = 5  # words, or characters
FEW_WORDS = 20  # fewer are compared by characters
MISSED = 0.01  # largest probability of missing a pair at the threshold
CROWD = 100  # prompts of one band that others are compared with: keeps time linear where thousands share boilerplate
BLOCK = 4096  # shingles at a time, and
PIECE = 2**16  # characters at a time: these bound the memory that a long text takes
SPACE = re.compile(r"\s")


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Every bit of a number into all bits of its hash (the finaliser of MurmurHash3)."""
    hashes = hashes ^ (hashes >> np.uint64(33))
    hashes *= np.uint64(0xFF51AFD7ED558CCD)
    hashes ^= hashes >> np.uint64(33)
    hashes *= np.uint64(0xC4CEB9FE1A85EC53)
    hashes ^= hashes >> np.uint64(33)
    return hashes


_CONSTANTS = _mixed(np.arange(1, 2 * PERMUTATIONS + SHINGLE + 1, dtype=np.uint64))
_FACTORS = _CONSTANTS[:PERMUTATIONS, None] | np.uint64(1)  # odd: multiplying by them loses no bit
_OFFSETS = _CONSTANTS[PERMUTATIONS : 2 * PERMUTATIONS, None]
_PLACES = _CONSTANTS[2 * PERMUTATIONS :] | np.uint64(1)


def signature(text: str) -> np.ndarray:
    """The MinHash signature of a prompt, the same in every process: uint32, shape (64,)."""
    lowest = np.full(PERMUTATIONS, 2**64 - 1, np.uint64)
    for shingles in _shingles(text.lower()):
        for start in range(0, len(shingles), BLOCK):
            hashes = shingles[start : start + BLOCK] * _FACTORS
            hashes += _OFFSETS
            np.minimum(lowest, hashes.min(axis=1), out=lowest)
    return (lowest >> np.uint64(32)).astype(np.uint32)


def _shingles(text: str) -> Iterator[np.ndarray]:
    """A 64-bit hash of each run of words, or of characters; some at a time."""
    before = np.empty(0, np.uint64)
    for later in _parts(text):
        parts = np.concatenate((before, later)) if len(before) else later
        count = len(parts) - SHINGLE + 1
        if count > 0:
            hashes = parts[:count] * _PLACES[0]
            for place in range(1, SHINGLE):
                hashes += parts[place : place + count] * _PLACES[place]
            yield _mixed(hashes)
        before = parts[-SHINGLE + 1 :]


def _parts(text: str) -> Iterator[np.ndarray]:
    """A number for each word, or for each character where there are few words."""
    first = text.split(maxsplit=FEW_WORDS)
    if len(first) < FEW_WORDS:
        plain = " ".join(first).ljust(SHINGLE)
        for start in range(0, len(plain), PIECE):
            characters = plain[start : start + PIECE].encode("utf-32-le", "surrogatepass")
            yield np.frombuffer(characters, "<u4").astype(np.uint64)
        return
    for piece in _pieces(text):
        words = piece.split()
        encoded = " ".join(words).encode("utf-8", "surrogatepass").split(b" ")
        yield np.fromiter(map(zlib.crc32, encoded), np.uint64, len(words))


def _pieces(text: str) -> Iterator[str]:
    """A text cut between words."""
    start = 0
    while start < len(text):
        space = SPACE.search(text, start + PIECE)
        end = space.start() if space else len(text)
        if piece := text[start:end].strip():
            yield piece
        start = end


def near_duplicates(keys: np.ndarray, signatures: np.ndarray, threshold: float) -> np.ndarray:
    """Which rows have a prompt that is nearly the same as an earlier one that stays.

    Rows of one key have the same prompt: they stay or go together, and are not near-duplicates of each other.

    Args:
        keys: shape (n, 2), unsigned 64-bit; what identifies each row's prompt. Rows are in their order.
        signatures: uint32, shape (n, 64); each row's `signature`.
        threshold: estimated similarity from which prompts are near.

    Returns:
        bool, shape (n,).
    """
    first, prompt_of_row = _prompts(keys)
    places, slots = _buckets(signatures, first, threshold)
    buckets = array("i", bytes(4 * slots))  # of each: how many prompts there are in it so far, and then their rows
    marked = np.zeros(len(first), bool)
    for prompt in np.flatnonzero((places >= 0).any(axis=1)).tolist():
        row = int(first[prompt])
        own = [place for place in places[prompt].tolist() if place >= 0]
        earlier = {other for place in own for other in buckets[place + 1 : place + 1 + buckets[place]]}
        if earlier and (signatures[list(earlier)] == signatures[row]).mean(axis=1).max() >= threshold:
            marked[prompt] = True
            continue
        for place in own:
            if buckets[place] < CROWD:
                buckets[place] += 1
                buckets[place + buckets[place]] = row
    return marked[prompt_of_row]


def _prompts(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each distinct prompt, in order, and for each row the number of its prompt among them."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: of equal keys the earliest row comes first
    begins = np.ones(len(keys), bool)
    begins[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    firsts = order[begins]
    rank = np.empty(len(firsts), np.int64)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    prompt_of_row = np.empty(len(keys), np.int64)
    prompt_of_row[order] = rank[np.cumsum(begins) - 1]
    return np.sort(firsts), prompt_of_row


def rows_per_band(threshold: float) -> int:
    """The longest bands that miss a pair at the threshold rarely enough."""
    lengths = (length for length in (16, 8, 4, 2) if miss_probability(threshold, length) <= MISSED)
    return next(lengths, 1)


def miss_probability(similarity: float, rows: int) -> float:
    """How likely no band of so many places is the same in two signatures."""
    return (1 - similarity**rows) ** (PERMUTATIONS // rows)


def _buckets(signatures: np.ndarray, first: np.ndarray, threshold: float) -> tuple[np.ndarray, int]:
    """Buckets of prompts that are the same in a band, laid out one behind the other.

    Returns:
        where the bucket of each prompt and band begins, -1 where the prompt is alone in it; and the length of all.
    """
    rows = rows_per_band(threshold)
    places = np.empty((len(first), PERMUTATIONS // rows), np.int32)
    end = 0
    for band in range(PERMUTATIONS // rows):
        hashes = np.zeros(len(first), np.uint64)
        for column in range(band * rows, (band + 1) * rows):
            hashes = _mixed(hashes + np.uint64(column + 1) + signatures[:, column][first])
        _, numbers, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        lengths = np.where(counts > 1, np.minimum(counts, CROWD) + 1, 0)
        begins = end + np.cumsum(lengths) - lengths
        places[:, band] = np.where(lengths > 0, begins, -1)[numbers]
        end += int(lengths.sum())
    return places, end
