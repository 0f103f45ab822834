"""Which prompts are answered: each once, with what is known of its answers, and every line counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.candidates.prompts import Given, read
from steps.candidates.states import State
from tests.steps.candidates.made import TOOL, calling, saying, write


def unpaired(text: str, answer: list, verdict: str, *ids: str) -> dict:
    return {
        "prompt": [{"role": "user", "content": text}], "answer": answer, "tools": [TOOL], "verdict": verdict,
        "provenance": {"inference_ids": list(ids)},
    }  # fmt: skip


def given_of(folder: Path, **rows: list) -> Given:
    paths = {name: write(folder / name / "rows.jsonl", lines).parent for name, lines in rows.items()}
    return read(paths.get("unpaired"), paths.get("own"), paths.get("pairs"))


def test_what_people_said_of_answers_to_one_prompt_is_put_together(tmp_path: Path) -> None:
    rows = [
        unpaired("Rain?", calling("Rome"), "down", "i-1"),
        unpaired("rain? ", saying("No."), "down", "i-2", "i-1"),  # the same but for case and white space
        unpaired("Rain?", calling(), "up", "i-3"),
        unpaired("Sun?", calling(), "up", "i-4"),
    ]
    found = given_of(tmp_path, unpaired=rows, own=[{"prompt": "Snow?"}])
    sun, rain, snow = found.prompts  # what was spoken of last comes first
    assert rain.against == [calling("Rome"), saying("No.")] and rain.reference == calling()
    assert (rain.inference_ids, sun.inference_ids) == (["i-1", "i-2", "i-3"], ["i-4"])
    assert snow.messages == [{"role": "user", "content": "Snow?"}] and snow.reference is None and snow.tools is None
    assert found.passed == {State.DUPLICATE: 2}


def test_a_prompt_of_which_there_is_a_pair_is_not_answered(tmp_path: Path) -> None:
    pair = {"prompt": [{"role": "user", "content": "RAIN?"}], "chosen": saying("a"), "rejected": saying("b"),
            "tools": [TOOL]}  # fmt: skip
    found = given_of(tmp_path, unpaired=[unpaired("Rain?", calling(), "up", "i")], pairs=[pair, "{\n"])
    assert [one.state for one in found.prompts] == [State.HAS_PAIR] and found.open() == []


@pytest.mark.parametrize("field", ["reference", "chosen"])
@pytest.mark.parametrize("answer", ["Which day?", saying("Which day?")[0], saying("Which day?")])
def test_a_row_of_ones_own_may_bring_the_right_answer(tmp_path: Path, field: str, answer: object) -> None:
    rows = [{"prompt": "Rain?", field: answer, "rejected": "No.", "source": "mine", "tools": json.dumps([TOOL])}]
    (prompt,) = given_of(tmp_path, own=rows).prompts
    assert prompt.reference == saying("Which day?") and prompt.tools == [TOOL]


def test_own_template_arguments_make_another_prompt(tmp_path: Path) -> None:
    rows = [{"prompt": "Rain?"}, {"prompt": "Rain?", "chat_template_kwargs": {"enable_thinking": False}}]
    found = given_of(tmp_path, own=rows)
    assert [one.arguments for one in found.prompts] == [{}, {"enable_thinking": False}]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{\n", "unexpected end"),
        ('{"question": "Rain?"}\n', "has no prompt"),
        ('{"prompt": ""}\n', "is empty"),
        ('{"prompt": [{"role": "assistant", "content": "Rain."}]}\n', "turn"),
        ('{"prompt": "Rain?", "tools": [{}]}\n', "tools"),
        ('{"prompt": "Rain?", "reference": " "}\n', "the answer is empty"),
        ('{"prompt": "Rain?", "chat_template_kwargs": {"messages": 1}}\n', "messages"),
    ],
)
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, row: str, said: str) -> None:
    found = given_of(tmp_path, own=[{"prompt": "Sun?"}, row])
    ((source, file, line, state, reason),) = found.named
    assert (source, file, line, state) == ("prompts", "rows.jsonl", 2, State.UNREADABLE)
    assert said in reason.lower()
    assert found.passed == {State.UNREADABLE: 1} and len(found.prompts) == 1


LINES = st.lists(
    st.one_of(
        st.sampled_from(['{"prompt": }', '{"other": 1}', '{"prompt": 7}']),
        st.fixed_dictionaries(
            {"prompt": st.text("ab ?", max_size=3)}, optional={"reference": st.text("ab", max_size=1)}
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(lines=LINES)
def test_every_line_is_a_prompt_a_duplicate_or_named(tmp_path_factory: pytest.TempPathFactory, lines: list) -> None:
    rows = [{"prompt": "first"}, *(line if isinstance(line, dict) else f"{line}\n" for line in lines)]
    found = given_of(tmp_path_factory.mktemp("given"), own=rows)
    assert len(found.prompts) + sum(found.passed.values()) == len(rows)
    assert len(found.named) == found.passed[State.UNREADABLE]
    assert len({one.key for one in found.prompts}) == len(found.prompts)
