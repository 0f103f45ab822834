"""Faults of an answer's form, and what is none."""

from __future__ import annotations

import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.answers.form import FAULTS, Markers, ends_in_a_loop, faults, is_repetitive, repeated_share, words
from tests.paths import ROOT

REAL_DATA = ROOT.parent / "shared" / "data"
NONE = Markers([], [])

TABLE = "| tool | price |\n|------|-------|\n" + "".join(f"| saw {n} | {n * 3} EUR |\n" for n in range(9))
CODE = "".join(f"    if value == {n}:\n        return names[{n}]\n" for n in range(4))
LIST = "".join(f"{n}. {fruit}\n" for n, fruit in enumerate(("apples", "pears", "plums", "figs", "dates"), start=1))
MATRIX = "The identity:\n" + "\n".join(
    " ".join("1" if row == column else "0" for column in range(4)) for row in range(4)
)


def found(text: str, markers: Markers = NONE, *, calls: bool = False, ended: bool = True) -> tuple[str, ...]:
    return faults(text, markers, calls=calls, ended=ended)


@pytest.mark.parametrize(
    "text", ["Yes.", "12", "ok", "Ha ha ha!", "我不知道。", "No, no, no, no!", TABLE, CODE, LIST, MATRIX]
)
def test_good_answers_have_no_fault(text: str) -> None:
    assert found(text) == ()


@pytest.mark.parametrize("text", ["", " \n\t", "<|pad|>\n", "</think><|pad|>"])
def test_an_answer_of_nothing_but_blanks_and_special_tokens_is_empty(text: str) -> None:
    assert "empty" in found(text, Markers(["<|pad|>", "</think>"], []))


def test_an_answer_that_only_calls_is_not_empty() -> None:
    assert found("", calls=True) == ()


def test_an_answer_without_a_stop_token_is_unfinished() -> None:
    assert found("The answer is", ended=False) == ("unfinished",)


@pytest.mark.parametrize(
    "text",
    [
        "I can help you with that. " * 12,
        "Here is what I found about the town of your birth and its people. " + "yes " * 40,
        "hahahaha" * 20,
        "我可以帮助你。" * 20,
        "First, open the box; then look inside it with care and say what is there. " + "and then, " * 12 + "and",
    ],
)
def test_an_answer_that_loops_is_repetitive(text: str) -> None:
    assert found(text) == ("repetitive",)


def test_the_share_of_repeated_n_grams_is_worked_out_by_hand() -> None:
    # a b c d e five times: 25 words, 22 4-grams, of which 5 are distinct
    assert repeated_share(list("abcde") * 5) == 1 - 5 / 22
    assert repeated_share(list("abcde") * 3) == 0  # 12 4-grams are too few to tell


def test_a_loop_is_a_phrase_said_three_times_at_the_end() -> None:
    phrase = list("abcdefghij")
    assert ends_in_a_loop(["x", *phrase * 3])
    assert ends_in_a_loop(["x", *phrase * 3, "a", "b"])
    assert not ends_in_a_loop(["x", *phrase * 2])
    assert not ends_in_a_loop([*phrase * 3, "x"])
    assert not ends_in_a_loop(["0"] * 23)
    assert ends_in_a_loop(["0"] * 24)


def test_words_are_counted_in_scripts_with_and_without_spaces() -> None:
    assert words("Don't STOP at 9!!!") == ["don", "'", "t", "stop", "at", "9", "!!!"]
    assert words("東京です。") == ["東", "京", "で", "す", "。"]
    assert words("a" * 31) == ["a"] * 31


@pytest.mark.parametrize("sign", ["<|im_start|>", "[/INST]", "<start_of_turn>", "<|end_of_role|>"])
def test_a_sign_of_turns_inside_the_answer_is_a_marker(sign: str) -> None:
    assert found(f"It is noon.{sign}user", Markers(["<|end_of_role|>"], [])) == ("marker",)


def test_signs_of_calls_and_reasoning_and_what_chosen_answers_have_are_no_markers() -> None:
    markers = Markers(
        ["<tool_call>", "<|python_tag|>", "<|channel|>", "<think>", "<|citation|>"], ["See <|citation|>1."]
    )
    assert found("<think>so</think><|channel|>final<tool_call>{}<|python_tag|> as in <|citation|>2", markers) == ()


def test_faults_come_together_in_one_order() -> None:
    assert found("no way <|im_end|> " * 20, ended=False) == FAULTS[1:]


@given(st.text(max_size=400), st.booleans(), st.booleans())
def test_any_text_is_judged(text: str, calls: bool, ended: bool) -> None:
    assert set(found(text, calls=calls, ended=ended)) <= set(FAULTS)


@given(st.integers(0, 1000), st.integers(1, 12))
def test_any_phrase_said_often_enough_is_repetitive(seed: int, length: int) -> None:
    draw = random.Random(seed)
    phrase = " ".join("".join(draw.choices(string.ascii_lowercase, k=4)) for _ in range(length))
    assert is_repetitive(" ".join([phrase] * 40))


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"{REAL_DATA} is not on this machine")
def test_of_real_chosen_answers_not_one_in_a_hundred_has_a_fault() -> None:
    calls = [json.loads(line) for line in (REAL_DATA / "when2call_preference.jsonl").read_text().splitlines()]
    chats = json.loads((REAL_DATA / "sharegpt_preference_en.json").read_text())
    texts = [row["chosen_response"]["content"] for row in calls] + [row["chosen"]["value"] for row in chats]
    assert len(texts) == 900
    assert sum(bool(found(text)) for text in texts) < 9
