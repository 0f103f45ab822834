"""Texts that went through a chat template: back to turns, or refused; a marker that is quoted is neither."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.preprocess.texts.markers import is_transcript, starts_rendered
from steps.preprocess.texts.rendered import CHATML, TEMPLATES, Template, unwrap_answer, unwrap_prompt
from tests import growth
from tests.steps.preprocess.converting import converted, record_of, refused
from tests.steps.preprocess.turns import assistant, user

PRIME = "Name a prime."
SYSTEM = {"role": "system", "content": "Be brief."}
LLAMA3 = "<|begin_of_text|><|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>"
OPEN3 = "<|start_header_id|>assistant<|end_header_id|>\n\n"
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


def pair(prompt: Any, chosen: str = "7", rejected: str = "9") -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (
            pair(
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nName a prime.<|im_end|>\n"
                "<|im_start|>assistant\n",
                "7<|im_end|>\n",
                "9<|im_end|>\n",
            ),
            [SYSTEM, user(PRIME)],
        ),
        (
            pair(
                "<|im_start|>user\nName a prime.<|im_end|>\n",
                "<|im_start|>assistant\n7<|im_end|>",
                "<|im_start|>assistant\n9<|im_end|>",
            ),
            [user(PRIME)],
        ),
        (pair([user("<|im_start|>user\nName a prime.<|im_end|>\n<|im_start|>assistant")]), [user(PRIME)]),
        (pair(LLAMA3.format("user", PRIME) + OPEN3, "7<|eot_id|>", "9<|eot_id|>"), [user(PRIME)]),
        (pair(LLAMA3.format("system", f"{DATES}Be brief.") + LLAMA3.format("user", PRIME)[17:] + OPEN3),
         [SYSTEM, user(PRIME)]),
        (pair(LLAMA3.format("system", DATES) + LLAMA3.format("user", PRIME)[17:] + OPEN3), [user(PRIME)]),
        (pair("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nName a prime. [/INST]", " 7 </s>", " 9 </s>"),
         [SYSTEM, user(PRIME)]),
        (pair("[INST] Hi [/INST] Hello.</s>[INST] Name a prime. [/INST]"),
         [user("Hi"), assistant("Hello."), user(PRIME)]),
        (pair(PRIME, "7<|im_end|>", "9"), [user(PRIME)]),
        (pair(PRIME, "7</s>", "9</s>"), [user(PRIME)]),
    ],
)  # fmt: skip
def test_what_comes_apart_cleanly_is_unwrapped_and_told(row: dict, prompt: list) -> None:
    record = record_of(row)
    assert (record.prompt, record.chosen, record.rejected) == (prompt, [assistant("7")], [assistant("9")])
    assert converted(row).done == ["unwrapped from a chat template's text"]


def test_an_answer_that_repeats_its_rendered_prompt_is_the_rest() -> None:
    prompt = "<|im_start|>user\nName a prime.<|im_end|>\n<|im_start|>assistant\n"
    record = record_of(pair(prompt, f"{prompt}7<|im_end|>", f"{prompt}9<|im_end|>"))
    assert (record.prompt, record.chosen, record.rejected) == ([user(PRIME)], [assistant("7")], [assistant("9")])


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("<|system|>\n</s>\n<|user|>\nName a prime.</s>\n", "<|assistant|>\n7"),
        ("<|user|>Name a prime.<|end|>\n<|assistant|>", "7<|end|>"),
        ("USER: Name a prime. ASSISTANT:", "7"),
        ("A chat between a user and an assistant. USER: Name a prime. ASSISTANT:", "7"),
        ("User: Name a prime.\nAssistant:", "7"),
        ("Below is an instruction.\n\n### Instruction:\nName a prime.\n\n### Response:\n", "7"),
        ("### Human: Name a prime.\n### Assistant:", "7"),
        ("<extra_id_0>System\n\n<extra_id_1>User\nName a prime.\n<extra_id_1>Assistant\n", "7"),
        ("<bos><start_of_turn>user\nName a prime.<end_of_turn>\n<start_of_turn>model\n", "7"),
        ("<|start|>user<|message|>Name a prime.<|end|><|start|>assistant", "<|channel|>final<|message|>7<|return|>"),
        ("<\uff5cbegin\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c>Name a prime.<\uff5cAssistant\uff5c>", "7"),
        ("<|start_of_role|>user<|end_of_role|>Name a prime.<|end_of_text|>\n", "7"),
        ("<|im_start|>user\nName a prime.<|im_end|>\nand more", "7"),
        ("<|im_start|>user\nName a prime.<|im_end|>\n<|im_start|>assistant\n<think>\n", "7"),
        ("<|im_start|>system\n<tools>{}</tools><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n", "7"),
        ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "7<|im_end|>\n<|im_start|>user\nAnd?"),
        (
            "<\uff5cbegin\u2581of\u2581sentence\uff5c>Be.<\uff5cUser\uff5c>Name a prime.<\uff5cAssistant\uff5c>",
            "7",
        ),
        ("GPT4 Correct User: Name a prime.<|end_of_turn|>GPT4 Correct Assistant:", "7<|end_of_turn|>"),
        ("Below is a chat.\n<|im_start|>user\nName a prime.<|im_end|>\n<|im_start|>assistant\n", "7"),
        ("A chat.\n\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant", "7"),
        (f"A chat.\n{LLAMA3.format('user', PRIME)[17:]}{OPEN3}", "7"),
        ("A chat.\n<|user|>\nName a prime.</s>\n<|assistant|>\n", "7"),
        ([user("Hi"), assistant("Hello."), user("Name a prime.<|im_end|>")], "7"),
        ([{"role": "system", "content": "s"}, user("USER: Name a prime. ASSISTANT:")], "7"),
        ("Human: Hi\nAssistant: Hello.\nHuman: Name a prime.\nAssistant:", "7"),
        (PRIME, "<|assistant|>\n7"),
        (PRIME, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>7"),
        (PRIME, "ASSISTANT: 7"),
        (PRIME, "### Response:\n7"),
    ],
)
def test_what_does_not_is_refused(prompt: Any, answer: str) -> None:
    code, said = refused(pair(prompt, answer, f"{answer}, no 9"))
    assert code == "rendered_text" and "went through a chat template already" in said


def test_a_rendered_turn_among_others_is_refused() -> None:
    turns = [user("Hi"), assistant("Hello."), user("<|im_start|>user\nName a prime.<|im_end|>\n")]
    assert refused(pair(turns))[0] == "rendered_text"


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What does <|im_start|>user mean in ChatML?", "It begins a turn, as in <|im_start|>user\nHi<|im_end|>."),
        ("<|im_start|> and <|im_end|>: what are they?", "The marks of a turn."),
        ("Which token ends a turn of ChatML?", "<|im_end|>"),
        ("Which token ends a turn of ChatML?", "It is <|im_end|>"),
        ("What ends a turn, <|im_end|> or </s>?", "Here:<|im_end|>"),
        ("How is a text struck through?", "<s>so</s>"),
        ("[INST] is a marker of which model?", "Llama 2."),
        ("Explain the USER: and ASSISTANT: markers of Vicuna.", "They begin turns."),
        ("Explain ### Instruction: in Alpaca.", "It comes before ### Response:"),
        ("Write a poem about the following:", "Assistant: no."),
        ("<p>User: x</p>", "### A heading"),
        ("<|user|> is whose marker?", "<html>\n<body>"),
        ("[INST] and [/INST] mark the user's turn in Llama 2. Why?", "So that it knows."),
        ("Is the user's turn marked in Llama 2?", "[INST] and [/INST] mark it."),
        ("### Question:\nWhat is 2+2?\n### Answer:", "4"),
        ("### Task\nSummarise the text.\n\n### Output", "It is."),
        ("User: I want a refund\nAgent: ok\n\nWhat should be said next?\nAssistant:", "Sure."),
        ("Whose marker is <|assistant|>, beside <|user|>? Is it <|assistant|>", "Yes."),
        ("How do texts end in GPT-2?", "The end:\n<|endoftext|>"),
    ],
)
def test_a_marker_that_is_quoted_stays_text(prompt: str, answer: str) -> None:
    record = record_of(pair(prompt, answer))
    assert (record.prompt, record.chosen) == ([user(prompt)], [assistant(answer)])
    assert converted(pair(prompt, answer)).done == []


@pytest.mark.parametrize(
    ("prompt", "answers", "kept"),
    [
        ("Which token ends a text in GPT-2?", ("It is <|endoftext|>", "The token <|endoftext|>"), None),
        ("How does GPT-2 end a text?", ("It is <|endoftext|>", "The word <|endoftext|>"), None),
        ("Which tag ends struck text in HTML?", ("It is </s>", "Use </s>"), None),
        ("Which token ends a text?", ("It is:\n<|im_end|>", "This:\n<|im_end|>"), None),
        (PRIME, ("7<|im_end|>", "9"), ("7", "9")),
        ("Which token is a prime?", ("7<|im_end|>", "9<|im_end|>"), ("7", "9")),
        (PRIME, ("7\n<|im_end|>\n", "9\n<|im_end|>\n"), ("7\n", "9\n")),
        (PRIME, ("7 </s>", "9 </s>"), ("7 ", "9 ")),
        (PRIME, ("7<|end_of_turn|>", "9"), ("7", "9")),
    ],
)
def test_the_mark_of_an_end_goes_and_one_that_is_said_stays(prompt: str, answers: tuple, kept: tuple | None) -> None:
    record = record_of(pair(prompt, *answers))
    assert (record.chosen[0]["content"], record.rejected[0]["content"]) == (kept or answers)


TURN = st.text(st.characters(codec="ascii", exclude_characters="<|[\0"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(TURN, TURN), max_size=2), TURN, st.booleans())
def test_what_chatml_and_llama_3_write_comes_back_as_it_was(before: list, asked: str, llama: bool) -> None:
    turns = [turn for said, answer in before for turn in (user(said), assistant(answer))] + [user(asked)]
    begin = "<|start_header_id|>{}<|end_header_id|>\n\n" if llama else "<|im_start|>{}\n"
    end = "<|eot_id|>" if llama else "<|im_end|>\n"
    text = "".join(f"{begin.format(turn['role'])}{turn['content']}{end}" for turn in turns)
    found = unwrap_prompt(text + begin.format("assistant"))
    assert found is not None and found[0] == turns


@pytest.mark.parametrize(
    "repeated", ["\n", "</s> ", "<|user|>", "[INST]", "<|im_start|>user\n", "### Input:\n", "USER: "]
)
def test_time_grows_with_the_text_and_no_faster(repeated: str) -> None:
    def call(size: int) -> None:
        for text in (repeated * size, "<|user|>" + repeated * size, repeated * size + "ASSISTANT:"):
            starts_rendered(text)
            is_transcript(text)

    assert growth.is_linear(call, 5_000)


@pytest.mark.parametrize("repeated", ["<|im_end|>", "\n", "<|im_end|> \n"])
def test_time_to_cut_marks_off_an_answer_grows_with_the_answer(repeated: str) -> None:
    assert growth.is_linear(
        lambda size: unwrap_answer("7" + repeated * size, [user(PRIME)], None, CHATML, "chosen"), 5_000
    )


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    "repeated", [" ", "\n", "<s>", "<s> ", "<|im_start|>user", "<|start_header_id|>user", "<<SYS>>"]
)
def test_time_to_take_a_prompt_apart_grows_with_the_prompt(template: Template, repeated: str) -> None:
    assert growth.is_linear(
        lambda size: (template.begins.match(repeated * size), template.turns(repeated * size)), 5_000
    )
