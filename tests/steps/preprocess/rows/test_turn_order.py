"""Turns that belong together are joined; what cannot follow is named with its number, and a fix where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.steps.preprocess.converting import ASKED, TOOLS, converted, record_of, refused

THOUGHT = {"role": "assistant", "channel": "analysis", "content": "Hm."}
FINAL = {"role": "assistant", "channel": "final", "content": "3."}
SYSTEM = {"role": "system", "content": "Be brief."}
DEVELOPER = {"role": "developer", "content": "Use metric units."}
BOTH = {"role": "system", "content": "Be brief.\n\nUse metric units."}
CALLS = {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"city": "Oslo"}}]}


def row(prompt: Any = ASKED, chosen: Any = "3.", rejected: Any = "4.") -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "tools": TOOLS}


def test_the_analysis_of_harmony_is_the_reasoning_of_the_next_answer() -> None:
    wanted = {"role": "assistant", "content": "3.", "reasoning_content": "Hm."}
    found = converted(row([*ASKED, THOUGHT, FINAL, *ASKED], [THOUGHT, FINAL], [FINAL]))
    assert found.unread == {}
    record = record_of(row([*ASKED, THOUGHT, FINAL, *ASKED], [THOUGHT, FINAL], [{**FINAL, "content": "4."}]))
    assert record.prompt == [*ASKED, wanted, *ASKED] and record.chosen == [wanted]
    assert record.rejected == [{"role": "assistant", "content": "4."}]
    two = record_of(row(chosen=[THOUGHT, {**THOUGHT, "content": "So."}, FINAL])).chosen
    assert two[0]["reasoning_content"] == "Hm.\n\nSo."


def test_whole_conversations_with_analysis_are_split_where_their_answers_part() -> None:
    worse = {"role": "assistant", "channel": "final", "content": "", "tool_calls": [{"name": "f", "arguments": "{"}]}
    shared = [SYSTEM, DEVELOPER, *ASKED, THOUGHT, FINAL, *ASKED, THOUGHT]
    found = converted({"chosen": [*shared, FINAL], "rejected": [*shared, worse], "tools": TOOLS})
    assert found.rejected_faults == ["malformed"] and found.prompt[0] == BOTH and len(found.prompt) == 4


@pytest.mark.parametrize(
    ("chosen", "code", "said"),
    [
        ([THOUGHT], "turn_order", "chosen ends with a turn of the channel analysis; an answer must follow"),
        (THOUGHT, "turn_order", "chosen ends with a turn of the channel analysis; an answer must follow"),
        (
            [THOUGHT, {"role": "tool", "content": "x"}, FINAL],
            "turn_order",
            "chosen: a turn of the channel analysis is followed by one of the tool; the assistant's answer must follow",
        ),
        (
            [{**THOUGHT, "tool_calls": CALLS["tool_calls"]}, FINAL],
            "wrong_type",
            "chosen: a turn of the channel analysis calls tools",
        ),
        (
            [THOUGHT, {**FINAL, "reasoning_content": "Other."}],
            "wrong_type",
            "chosen: a turn has the reasoning_content of its own, and another in the channel analysis before it",
        ),
        (
            [{**FINAL, "channel": "commentary"}, FINAL],
            "unsupported_field",
            "chosen[0].channel is 'commentary'; turns of analysis and final can be trained on",
        ),
    ],
)
def test_a_channel_that_cannot_be_read_refuses_the_row(chosen: Any, code: str, said: str) -> None:
    assert refused(row(chosen=chosen)) == (code, said)


def test_a_developers_words_follow_the_systems_in_one_turn() -> None:
    assert record_of(row([SYSTEM, DEVELOPER, *ASKED])).prompt == [BOTH, *ASKED]
    assert record_of(row([DEVELOPER, *ASKED])).prompt == [{**DEVELOPER, "role": "system"}, *ASKED]


FIX = "; --merge-turns (merge_turns) joins the two"
USER, ANSWER, RESULT = ASKED[0], {"role": "assistant", "content": "3."}, {"role": "tool", "content": "3"}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([USER, USER], f"turn 2 of the prompt is user; after user must come assistant or call{FIX}"),
        ([SYSTEM, USER, ANSWER, ANSWER], f"turn 4 of the prompt is assistant; after assistant must come user{FIX}"),
        ([SYSTEM, SYSTEM, USER], f"turn 2 of the prompt is system; after system must come user{FIX}"),
        ([{**USER, "name": "a"}, USER], "turn 2 of the prompt is user; after user must come assistant or call"),
        ([USER, CALLS, CALLS, RESULT], f"turn 3 of the prompt is call; after call must come tool{FIX}"),
        (
            [USER, CALLS, {**CALLS, "content": "And:"}, RESULT],
            "turn 3 of the prompt is call; after call must come tool",
        ),
        (
            [USER, SYSTEM, ANSWER, USER],
            "turn 2 of the prompt is system; after user must come assistant or call; "
            "only the first turn may be the system's",
        ),
    ],
)
def test_a_turn_that_cannot_follow_is_named_by_its_number_with_a_fix_that_works(prompt: list, said: str) -> None:
    assert refused(row(prompt)) == ("turn_order", said)
    if said.endswith(FIX):
        assert converted(row([*prompt, *ASKED] if prompt[-1] == ANSWER else prompt), merge_turns=True).done
    else:
        assert refused(row(prompt), merge_turns=True)[0] == "turn_order"


def test_an_empty_turn_is_named_by_its_number_too() -> None:
    said = "turn 2 of the prompt, by the user, is empty"
    assert refused(row([SYSTEM, {"role": "user", "content": ""}])) == ("empty_prompt", said)
