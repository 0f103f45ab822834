"""The transcripts of hh-rlhf: where turns begin, where two of them part, and what is no transcript."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.layouts.formats import Pair, by_name, detect
from steps.preprocess.rows.notes import new_notes
from steps.preprocess.rows.raw_row import RawRow
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Layout, convert
from tests import growth

HH = by_name("hh-rlhf")


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def read(chosen: str, rejected: str, **rest: str) -> Pair:
    row = {"chosen": chosen, "rejected": rejected, **rest}
    assert detect(row) is HH
    return HH.read(row, new_notes(keep_faulty_calls=False))


def refused(row: dict[str, str]) -> tuple[str, str]:
    with pytest.raises(InvalidRow) as error:
        convert(RawRow("file", 1, orjson.dumps(row)), Layout(HH), Rules())
    return str(error.value.code), str(error.value)


def test_markers_count_at_the_start_of_a_paragraph_alone():
    asked = "Finish this:\nHuman: hi\nand say 'Assistant: yes', but not\n Human: no"
    pair = read(f"\n\nHuman: {asked}\n\nAssistant: a", f"\n\nHuman: {asked}\n\nAssistant: b")
    assert pair == ([user(asked)], [assistant("a")], [assistant("b")])


def test_a_text_may_begin_with_its_marker_and_have_other_line_ends():
    text = "Human: q\r\n\r\nsecond paragraph\r\n\r\nAssistant: "
    assert read(text + "a\r\n", text + "b").prompt == [user("q\r\n\r\nsecond paragraph")]
    assert read("\n\n\n\nHuman: q\n\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: b").prompt == [user("q")]


def test_text_before_the_first_marker_is_the_systems():
    text = "You are kind.\n\nAlways.\n\nHuman: q\n\nAssistant: "
    assert read(text + "a", text + "b").prompt == [{"role": "system", "content": "You are kind.\n\nAlways."}, user("q")]


def test_a_prompt_of_its_own_may_be_open_or_end_with_the_human():
    answers = ([assistant("a")], [assistant("b")])
    for asked in ("\n\nHuman: q\n\nAssistant:", "\n\nHuman: q\n\nAssistant: "):
        assert read(" a", "b\n", prompt=asked) == ([user("q")], *answers)
    row = {"prompt": "\n\nHuman: q", "chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant: b"}
    assert HH.fits(row)
    assert HH.read(row, new_notes(keep_faulty_calls=False)) == ([user("q")], *answers)


def test_answers_that_repeat_the_prompt_lose_it():
    asked = "\n\nHuman: q\n\nAssistant: a\n\nHuman: r\n\nAssistant:"
    pair = read(asked + " c", asked + " d", prompt=asked)
    assert pair == ([user("q"), assistant("a"), user("r")], [assistant("c")], [assistant("d")])


@pytest.mark.parametrize("prompt", ["", None])
def test_a_blank_prompt_field_is_as_good_as_none(prompt):
    assert read("\n\nHuman: q\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: b", prompt=prompt).prompt == [user("q")]


def test_a_plain_text_that_quotes_a_dialogue_stays_plain():
    quoted = "Continue:\n\nHuman: hi\n\nAssistant: hello\n\nOnly one line."
    assert detect({"prompt": quoted, "chosen": "a", "rejected": "b"}).name == "plain"
    assert not HH.fits({"prompt": "q", "chosen": "a", "rejected": "b"})


START = "\n\nHuman: q\n\nAssistant: a\n\nHuman: r\n\nAssistant:"


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({"chosen": f"{START} x", "rejected": f"{START} "}, "empty_response", "rejected is empty"),
        ({"chosen": "", "rejected": f"{START} x"}, "empty_response", "chosen is empty"),
        ({"chosen": f"{START} x", "rejected": f"{START} x \n"}, "same_response", "chosen and rejected are the same"),
        (
            {"chosen": f"{START} x", "rejected": "Sure."},
            "wrong_type",
            "rejected is no transcript: no paragraph of it begins with 'Human:'",
        ),
        (
            {"chosen": f"{START} x", "rejected": START.replace("q", "p") + " y"},
            "prompt_mismatch",
            "chosen and rejected part at turn 1, a turn by the user; only the assistant's answers may differ",
        ),
        (
            {"chosen": f"{START} x", "rejected": START.replace(" a", " b") + " x"},
            "prompt_mismatch",
            "chosen and rejected part at turn 2, and the user speaks after it; only the last answers may differ",
        ),
        (
            {
                "chosen": "\n\nHuman: q\n\nHuman: r\n\nAssistant: x",
                "rejected": "\n\nHuman: q\n\nHuman: r\n\nAssistant: y",
            },
            "turn_order",
            "turn 2 of the prompt is user; after user must come assistant or call; "
            "--merge-turns (merge_turns) joins the two",
        ),
        (
            {"prompt": "\n\nHuman: q\n\nAssistant: I say", "chosen": "x", "rejected": "y"},
            "turn_order",
            "the prompt ends with the turn of the assistant; the user or a tool must be last",
        ),
        (
            {"prompt": START, "chosen": " x\n\nHuman: more?", "rejected": " y"},
            "not_assistant",
            "chosen holds a turn by the user",
        ),
        ({"prompt": START, "chosen": "  ", "rejected": " y"}, "empty_response", "chosen is empty"),
    ],
)
def test_what_is_wrong_with_a_transcript_is_named(row, code, message):
    assert refused(row) == (code, message)


WORDS = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    .map(str.strip)
    .filter(
        lambda text: (
            text and not text.startswith(("Human:", "Assistant:")) and "\n\n" not in text and "\n\r\n" not in text
        )
    )
)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=3), WORDS, WORDS, WORDS)
def test_turns_come_out_as_they_were_written(before, asked, better, worse):
    text = "".join(f"\n\nHuman: {said}\n\nAssistant: {answer}" for said, answer in before) + f"\n\nHuman: {asked}"
    prompt = [turn for said, answer in before for turn in (user(said), assistant(answer))] + [user(asked)]
    row = {"chosen": f"{text}\n\nAssistant: {better}", "rejected": f"{text}\n\nAssistant: {worse}"}
    assert HH.read(row, new_notes(keep_faulty_calls=False)) == (prompt, [assistant(better)], [assistant(worse)])
    row = {"prompt": f"{text}\n\nAssistant:", "chosen": f" {better}", "rejected": f" {worse}"}
    assert HH.read(row, new_notes(keep_faulty_calls=False)) == (prompt, [assistant(better)], [assistant(worse)])


@pytest.mark.parametrize("repeated", ["\n", "\n\n ", "\r\n", "Human:"])
def test_time_grows_with_the_text_and_no_faster(repeated):
    def call(size):
        assert not HH.recognises({"prompt": repeated * size + "x", "chosen": "a", "rejected": "b"})

    assert growth.is_linear(call, 5_000)
