"""What the tiny model learns from: which values a call copies, and calls told again with other ones."""

from __future__ import annotations

import random
from typing import Any

from steps.quickstart import tiny_model
from steps.quickstart.lessons import TOLD_AGAIN, Lesson, lessons, told_again
from steps.quickstart.pretrain import VALUE_WEIGHT, encode, words_apart


def call(**arguments: Any) -> dict[str, Any]:
    calls = [{"type": "function", "function": {"name": "book_flight", "arguments": arguments}}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def lesson(asked: str, answer: dict[str, Any]) -> Lesson:
    return Lesson([], [{"role": "user", "content": asked}], answer)


def test_both_answers_of_every_row_are_lessons() -> None:
    rows = tiny_model.read_rows(tiny_model.DATA)
    assert len(lessons(rows)) == 2 * len(rows)


def test_a_value_is_said_where_it_stands_as_words_of_its_own() -> None:
    one = lesson("From the Hilton to Oslo, for 35 euros.", call(origin="the Hilton", to="Oslo", euros=35))
    assert all(one.said(value) for _, value in one.arguments)
    assert not any(one.said(value) for value in ("Os", "3", "Lima"))
    assert one.copies
    assert lesson("The Hilton.", call(origin="the Hilton")).copies
    assert not lesson("From some city.", call(origin="Oslo")).copies
    assert not lesson("Hello.", {"role": "assistant", "content": "Hello."}).copies


def test_a_call_told_again_says_and_calls_for_the_same_other_values() -> None:
    ways = (("Lima", "Oslo"), ("Vienna", "Seoul"), ("Oslo", "Quito"))
    known = [lesson(f"Fly from {origin} to {to}.", call(origin=origin, to=to)) for origin, to in ways]
    made_up = lesson("To Oslo.", call(origin="Lima", to="Oslo"))
    again = told_again(random.Random(1), [*known, made_up])
    assert len(again) == TOLD_AGAIN * len(known)
    for one in again:
        values = dict(one.arguments)
        assert one.messages[0]["content"] == f"Fly from {values['origin']} to {values['to']}."
        assert values["origin"] != values["to"]
    assert {one.messages[0]["content"] for one in again} - {one.messages[0]["content"] for one in known}
    assert known[0].messages[0]["content"] == "Fly from Lima to Oslo."


def test_of_the_sample_too_what_was_said_is_said_again_and_nothing_else_is() -> None:
    known = lessons(tiny_model.read_rows(tiny_model.DATA))
    first = [one for one in known if one.copies]
    again = told_again(random.Random(1), known)
    assert len(again) == TOLD_AGAIN * len(first)
    for at, one in enumerate(again):
        before = first[at // TOLD_AGAIN]
        assert [one.said(value) for _, value in one.arguments] == [before.said(value) for _, value in before.arguments]


def test_in_the_loss_a_copied_value_counts_most_and_one_that_nobody_said_nothing() -> None:
    one = lesson("Fly from Oslo.", call(origin="Oslo", to="Lima"))
    blank = tiny_model.blank_tokenizer()
    text = blank.apply_chat_template([*one.messages, one.answer], tokenize=False)
    tokenizer = blank.train_new_from_iterator([*words_apart(text)] * 2, 400, show_progress=False)
    ids, weights = encode(tokenizer, one)
    assert tokenizer.decode(ids) == text
    counted = {
        weight: tokenizer.decode([i for i, w in zip(ids, weights, strict=True) if w == weight])
        for weight in (0.0, 1.0, VALUE_WEIGHT)
    }
    assert "Oslo" in counted[VALUE_WEIGHT] and "Lima" not in counted[VALUE_WEIGHT]
    assert "Fly from" in counted[0.0] and "Lima" in counted[0.0]
    assert "<tool_call>" in counted[1.0] and counted[1.0].endswith("<|im_end|>\n")


def test_a_name_is_the_same_tokens_behind_a_space_and_behind_a_quotation_mark() -> None:
    texts = ['Fly to Oslo {"to": "Oslo"}', 'Is it dry in Oslo? {"city": "Oslo"}'] * 5
    pieces = [piece for text in texts for piece in words_apart(text)]
    tokenizer = tiny_model.blank_tokenizer().train_new_from_iterator(pieces, 400, show_progress=False)
    assert tokenizer.tokenize("to Oslo")[-1] == tokenizer.tokenize('"Oslo"')[1] == "Oslo"
