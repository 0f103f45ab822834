"""An exam: every chat template that TRL ships, times every kind of row, against a table that a person can check.

`python -m pytest tests/steps/shared/templates/test_trl_templates.py --update-golden` rewrites the table. For each
template, and each kind of row, it says what the loss of the chosen answer covers (`[…]` learned, the rest only read),
or the reason why the row is left out. Templates that make the same of every kind stand together.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.refused import RowRefused
from tests.steps.shared.templates.counts import count_right
from tests.steps.shared.templates.exam import check_golden, check_tokens, made, shown, table, trl_sources
from tests.steps.shared.templates.kinds import KINDS
from tests.steps.shared.templates.tokenizers import byte_level


@cache
def templates() -> dict[str, ChatTemplate]:
    moment = datetime(2026, 1, 2)
    return {name: ChatTemplate(byte_level(source), {}, moment) for name, source in trl_sources().items()}


def cases() -> list[tuple[str, str]]:
    return [(name, kind) for name in templates() for kind in KINDS]


def test_every_template_makes_of_every_kind_of_row_what_the_table_says(request: pytest.FixtureRequest) -> None:
    lines = {name: [shown(kind, made(template, kind)) for kind in KINDS] for name, template in templates().items()}
    check_golden("trl_templates.txt", table(lines), request)


def test_no_pair_that_trains_is_equal_or_ends_in_the_middle_of_its_text() -> None:
    assert len(templates()) > 40
    for name, kind in cases():
        check_tokens(templates()[name], kind, f"{name}: {kind}")


def test_what_a_row_says_stands_in_what_is_learned_of_it_and_a_result_never_does() -> None:
    for name, kind in cases():
        found = made(templates()[name], kind)
        if isinstance(found, RowRefused):
            continue
        prompt, chosen, _, tools = KINDS[kind]
        learned, read = found[0].chosen.learned, found[0].chosen.read
        for message in chosen:
            calls = message.get("tool_calls") or []
            if message["role"] == "tool":
                assert message["content"] in read and message["content"] not in learned, (name, kind)
                continue
            assert message["content"].split("</think>")[-1].strip() in learned, (name, kind)
            assert all(call["function"]["name"] in learned for call in calls), (name, kind)
            said = [str(value) for call in calls for value in call["function"]["arguments"].values()]
            assert all(value.lower() in learned.lower() for value in said), (name, kind)
            if "reasoning_dropped" not in found[0].notes and "reasoning_content" in message:
                assert message["reasoning_content"] in learned, (name, kind)
        assert all(tool["function"]["name"] in found[0].prompt for tool in tools or ()), (name, kind)
        assert all(message["content"].strip() in found[0].prompt for message in prompt), (name, kind)


def test_no_row_is_wrong_and_what_trl_trains_right_is_trained_here_on_the_same_tokens(
    request: pytest.FixtureRequest,
) -> None:
    found, unlike = count_right(templates())
    assert not unlike
    check_golden("right_rows.txt", found, request)
