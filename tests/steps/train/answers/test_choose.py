"""Which held-out prompts are asked: each once, of every kind of row, the same ones each time, as endpoints see them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.shared.records import Record
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.answers.choose import Chosen, choose
from steps.train.arguments import TrainArguments

TOOLS = [{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "function": {"name": "find", "arguments": {"q": "x"}}}
CALLS = [{"role": "assistant", "content": "", "tool_calls": [CALL]}]
NO = [{"role": "assistant", "content": "No."}]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    from steps.train.model.load import load_tokenizer

    return load_tokenizer(TrainArguments(model_id=str(tiny_model)))


def record(number: int, prompt: str | None = None, layout: str = "chat", **changes: Any) -> Record:
    asked = [{"role": "user", "content": prompt or f"Question {number}?"}]
    chosen = [{"role": "assistant", "content": f"Answer {number}."}]
    return replace(Record(f"{number:032x}", asked, chosen, NO, None, layout, "f.jsonl", number), **changes)


def ask(records: list[Record], tokenizer, count: int = 64, most: int = 4000, template: str | None = None) -> Chosen:
    if template is not None:
        tokenizer = type(tokenizer).from_pretrained(tokenizer.name_or_path)
        tokenizer.chat_template = template
    return choose(records, [one.id for one in records], ChatTemplate(tokenizer), count, most)


def ids(chosen: Chosen) -> list[str]:
    return [question.record.id for question in chosen.questions]


def test_a_question_is_what_the_endpoint_sees_and_the_chosen_answer_what_the_model_would_write(tokenizer) -> None:
    (question,) = ask([record(1, chosen=CALLS, tools=TOOLS)], tokenizer).questions
    messages = [{"role": "user", "content": "Question 1?"}]
    prompt = tokenizer.apply_chat_template(messages, tools=TOOLS, add_generation_prompt=True, tokenize=False)
    assert question.prompt == prompt
    assert question.prompt_ids == tuple(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    assert question.chosen == '<tool_call>\n{"name": "find", "arguments": {"q": "x"}}\n</tool_call>'
    assert question.chosen_tokens == len(tokenizer(question.chosen, add_special_tokens=False)["input_ids"]) + 1


def test_of_an_answer_of_several_turns_the_first_is_what_the_model_would_write(tokenizer) -> None:
    turns = [*CALLS, {"role": "tool", "content": "42"}, {"role": "assistant", "content": "It is 42."}]
    (question,) = ask([record(1, chosen=turns, tools=TOOLS)], tokenizer).questions
    assert question.chosen.endswith("</tool_call>") and "42" not in question.chosen


def test_a_prompt_is_asked_once_however_many_rows_have_it(tokenizer) -> None:
    alike = [record(number, prompt="Same?") for number in range(5)]
    tools = [record(number, prompt="Same?", tools=TOOLS, chosen=CALLS) for number in range(5, 8)]
    assert len(ask([*alike, *tools], tokenizer).questions) == 2  # the tools make it another prompt


def test_rows_that_could_not_be_tokenised_are_not_asked(tokenizer) -> None:
    records = [record(number) for number in range(5)]
    chosen = choose(records, [records[3].id], ChatTemplate(tokenizer), 64, 4000)
    assert ids(chosen) == [records[3].id] and chosen.not_asked == {}


def test_every_kind_of_row_is_asked_in_proportion_and_a_rare_one_too(tokenizer) -> None:
    records = [record(number) for number in range(60)]
    records += [record(number, layout="alpaca") for number in range(60, 90)]
    records += [record(number, tools=TOOLS, chosen=CALLS) for number in range(90, 99)]
    records += [record(99, layout="hh")]
    kinds = Counter((q.record.format, bool(q.record.tools)) for q in ask(records, tokenizer, count=20).questions)
    assert sum(kinds.values()) == 20
    assert set(kinds) == {("chat", False), ("alpaca", False), ("chat", True), ("hh", False)}
    assert kinds["chat", False] >= 11 and kinds["alpaca", False] >= 5


def test_the_questions_do_not_depend_on_the_order_of_the_rows_and_mostly_stay_when_rows_are_added(tokenizer) -> None:
    records = [record(number) for number in range(40)]
    chosen = ids(ask(records, tokenizer, count=10))
    assert ids(ask(records[::-1], tokenizer, count=10)) == chosen
    more = ids(ask(records + [record(number) for number in range(40, 44)], tokenizer, count=10))
    assert len(set(more) & set(chosen)) >= 7


def test_fewer_rows_than_questions_are_all_asked(tokenizer) -> None:
    assert len(ask([record(number) for number in range(3)], tokenizer).questions) == 3
    assert ask([], tokenizer) == Chosen((), {})


def test_a_row_s_own_template_arguments_count(tokenizer) -> None:
    template = "{{ mood or 'plain' }}:{% for m in messages %}{{ m.content }};{% endfor %}"
    rows = [record(1), record(1, chat_template_kwargs={"mood": "glad"}, id="f" * 32)]
    prompts = {question.prompt for question in ask(rows, tokenizer, template=template).questions}
    assert prompts == {"plain:Question 1?;", "glad:Question 1?;"}


def test_a_prompt_that_is_too_long_is_counted_and_another_is_asked_in_its_place(tokenizer) -> None:
    records = [record(1, prompt="word " * 100), *(record(number) for number in range(2, 30))]
    chosen = ask(records, tokenizer, count=28, most=60)
    assert len(chosen.questions) == 28 and chosen.not_asked in ({"too_long": 1}, {})
    assert ask(records[:1], tokenizer, most=60) == Chosen((), {"too_long": 1})


TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
WITHOUT = "{% for m in messages %}" + TURN + "{% endfor %}"
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}<|im_end|>{% endif %}{% endfor %}"
)


def test_a_template_without_a_generation_prompt_is_counted(tokenizer) -> None:
    chosen = ask([record(number) for number in range(3)], tokenizer, template=WITHOUT)
    assert chosen == Chosen((), {"template_no_generation": 3})


def test_a_template_whose_answers_follow_the_user_s_turn_at_once_needs_none(tokenizer) -> None:
    (question,) = ask([record(1)], tokenizer, template=MISTRAL).questions
    assert question.prompt == "[INST] Question 1? [/INST]" and question.chosen.strip() == "Answer 1."


def test_a_row_that_the_template_refuses_is_counted(tokenizer) -> None:
    refusing = "{{ raise_exception('no such role') if messages[0].content == 'Question 1?' }}" + WITHOUT
    refusing += "{{ '<|im_start|>assistant\n' if add_generation_prompt }}"
    chosen = ask([record(1), record(2)], tokenizer, template=refusing)
    assert ids(chosen) == [record(2).id] and chosen.not_asked == {"template_refused": 1}
