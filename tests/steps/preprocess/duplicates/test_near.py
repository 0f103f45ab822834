"""Near-duplicate prompts: what signatures estimate, held against exact Jaccard similarity; which rows are marked."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.preprocess.duplicates import near
from steps.preprocess.duplicates.near import miss_probability, near_duplicates, rows_per_band, signature

WORDS = ["".join(random.Random(n).choices("abcdefghij", k=5)) for n in range(2000)]


def words(count: int, seed: int) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def changed(text: list[str], places: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    text = list(text)
    for place in chance.sample(range(len(text)), places):
        text[place] = f"changed{chance.random()}"
    return text


def jaccard(one: list[str], two: list[str]) -> float:
    first, second = ({tuple(text[n : n + 5]) for n in range(len(text) - 4)} for text in (one, two))
    return len(first & second) / len(first | second)


def estimate(one: str, two: str) -> float:
    return float((signature(one) == signature(two)).mean())


def marked(texts: list[str], threshold: float = 0.8, keys: list[int] | None = None) -> list[int]:
    """The places of the rows that are marked; unless keys are given, each text is a prompt of its own."""
    pairs = np.array([(0, key) for key in keys or range(len(texts))], ">u8").reshape(-1, 2)
    signatures = np.array([signature(text) for text in texts], np.uint32).reshape(-1, 64)
    return np.flatnonzero(near_duplicates(pairs, signatures, threshold)).tolist()


def test_signatures_estimate_exact_jaccard_similarity():
    errors = []
    for seed in range(300):
        text = words(200, seed)
        other = changed(text, seed % 30, seed)
        errors.append(estimate(" ".join(text), " ".join(other)) - jaccard(text, other))
    assert abs(np.mean(errors)) < 0.01  # no bias: 300 errors of at most 1/16
    assert np.sqrt(np.mean(np.square(errors))) < 1 / 16


def test_unrelated_texts_have_nothing_in_common():
    texts = [signature(" ".join(words(count, seed))) for seed, count in enumerate([3, 10, 20, 200, 5000] * 10)]
    shares = [(one == two).mean() for place, one in enumerate(texts) for two in texts[:place]]
    assert np.mean(shares) < 0.001
    assert max(shares) < 0.2


@pytest.mark.parametrize("count", [3, 30])
def test_case_and_white_space_do_not_count(count):
    text = " ".join(words(count, 1))
    assert estimate(text, "\n " + text.upper().replace(" ", " \t\n\u00a0") + " ") == 1


def test_texts_of_few_words_are_compared_by_their_characters():
    assert estimate("What is the capital of France?", "What is the capital of France") > 0.8
    assert estimate("What is the capital of France?", "How do I boil an egg?") < 0.2
    assert estimate("日本の首都はどこですか、教えてください", "日本の首都はどこですか、教えてください。") > 0.8


@pytest.mark.parametrize("text", ["", " ", "a", "ab c", "\ud800", "日本", "\0"])
def test_the_shortest_texts_are_the_same_as_themselves_alone(text):
    assert estimate(text, text) == 1
    assert estimate(text, "something else") < 0.2


def test_a_long_text_has_the_signature_of_all_its_shingles(monkeypatch):
    text = " ".join(words(300, 1))
    whole = signature(text)
    monkeypatch.setattr(near, "BLOCK", 7)
    assert (signature(text) == whole).all()


@pytest.mark.parametrize("text", ["One of a hundred words, or \u00fc.\n  " * 40, "Few\u3000\x1cwords" * 90, "x " * 19])
def test_a_text_in_pieces_has_the_signature_of_the_whole(monkeypatch, text):
    whole = signature(text)
    monkeypatch.setattr(near, "PIECE", 16)
    assert np.array_equal(signature(text), whole)


@pytest.mark.parametrize("repeated", ["a", "ab "])
def test_a_long_text_takes_little_memory_beside_its_own(monkeypatch, repeated):
    monkeypatch.setattr(near, "PIECE", 2**8)
    monkeypatch.setattr(near, "BLOCK", 2**6)
    text = repeated * (2**17 // len(repeated))
    tracemalloc.start()
    try:
        signature(text)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text)
    finally:
        tracemalloc.stop()


def test_signatures_are_the_same_in_every_process():
    code = (
        "from steps.preprocess.duplicates.near import signature; print(signature('Tell me a joke about cats').tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(signature("Tell me a joke about cats").tolist())


def test_a_prompt_near_an_earlier_one_is_marked_and_the_earlier_one_stays():
    text = words(200, 1)
    texts = [" ".join(t) for t in (words(200, 2), text, changed(text, 2, 1), words(200, 3), changed(text, 1, 2))]
    assert marked(texts) == [2, 4]


def test_a_prompt_near_one_that_is_marked_itself_stays():
    text = words(400, 1)
    further = changed(text, 8, 1)
    furthest = changed(further, 8, 2)
    texts = [" ".join(t) for t in (text, further, furthest)]
    assert estimate(texts[0], texts[2]) < 0.7 <= min(estimate(texts[0], texts[1]), estimate(texts[1], texts[2]))
    assert marked(texts, 0.7) == [1]
    assert marked(texts[1:], 0.7) == [1]


def test_rows_of_one_prompt_stay_or_go_together():
    text = words(200, 1)
    one, two = " ".join(text), " ".join(changed(text, 1, 1))
    assert marked([one, one, one], keys=[1, 1, 1]) == []
    assert marked([one, two, one, two], keys=[7, 3, 7, 3]) == [1, 3]
    assert marked([two, one, two, one], keys=[3, 7, 3, 7]) == [1, 3]


def test_no_rows_and_one_row_are_marked_by_nothing():
    assert marked([]) == marked(["a"]) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]), st.integers(1, 60))
def test_marked_are_those_that_comparing_all_with_all_marks(seed, threshold, prompts):
    chance = np.random.default_rng(seed)
    signatures = chance.integers(2**32, size=(8, 64), dtype=np.uint32)[chance.integers(8, size=prompts)]
    noise = chance.random(signatures.shape) < chance.choice([0, 0.02, 0.05, 0.3], size=(prompts, 1))
    signatures[noise] = chance.integers(2**32, size=int(noise.sum()), dtype=np.uint32)
    prompt_of_row = chance.integers(prompts, size=60)
    keys = np.stack([chance.permutation(prompts)[prompt_of_row], np.zeros(60)], axis=1).astype(np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "MISSED", 0)  # bands of one place, which miss nothing
        result = near_duplicates(keys, signatures[prompt_of_row], threshold)
    kept: list[int] = []
    near_ones = set()
    for prompt in dict.fromkeys(prompt_of_row.tolist()):
        if any((signatures[prompt] == signatures[other]).mean() >= threshold for other in kept):
            near_ones.add(prompt)
        else:
            kept.append(prompt)
    assert result.tolist() == [prompt in near_ones for prompt in prompt_of_row.tolist()]


def test_a_crowd_that_shares_a_band_is_not_compared_without_end(monkeypatch):
    monkeypatch.setattr(near, "CROWD", 3)
    chance = np.random.default_rng(1)
    signatures = chance.integers(2**32, size=(500, 64), dtype=np.uint32)
    signatures[:, :8] = 5  # boilerplate: two bands of four are the same in all
    signatures[499] = signatures[400]  # found by its other bands
    keys = np.stack([np.arange(500), np.arange(500)], axis=1).astype(np.uint64)
    assert np.flatnonzero(near_duplicates(keys, signatures, 0.8)).tolist() == [499]


def test_pairs_at_the_threshold_are_found_as_often_as_the_bands_promise():
    chance = np.random.default_rng(1)
    for threshold in (0.5, 0.625, 0.75, 0.875):
        pairs = 2000
        one = chance.integers(2**32, size=(pairs, 64), dtype=np.uint32)
        two = one.copy()
        differ = np.argsort(chance.random(one.shape), axis=1)[:, : round(64 * (1 - threshold))]
        np.put_along_axis(two, differ, np.uint32(0), axis=1)
        two[two == 0] = chance.integers(2**32, size=int((two == 0).sum()), dtype=np.uint32)
        keys = np.stack([np.arange(2 * pairs), np.zeros(2 * pairs)], axis=1).astype(np.uint64)
        found = near_duplicates(keys, np.concatenate([one, two]), threshold).sum()
        assert found >= pairs * (1 - near.MISSED)


@pytest.mark.parametrize(("threshold", "rows"), [(0.5, 2), (0.7, 2), (0.8, 4), (0.95, 8), (1.0, 16)])
def test_bands_are_as_long_as_the_threshold_allows(threshold, rows):
    assert rows_per_band(threshold) == rows
    assert miss_probability(threshold, rows) <= 0.01 < max(miss_probability(threshold, 2 * rows), (rows == 16) * 1)
