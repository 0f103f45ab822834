"""What the patterns take for personal data, and where in a row they look."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.collect.redact import PATTERNS, Redactor
from tests.steps.collect.captured import WEATHER, Collected, capture, say

ALL = tuple(PATTERNS)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ann.lee+x@mail.example.org, please", "write to [mail], please"),
        ("call +49 (0)30 123456-78 now", "call [phone] now"),
        ("call 0049 30 1234567", "call [phone]"),
        ("030/1234567 or (555) 123-4567 or 555-123-4567", "[phone] or [phone] or [phone]"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [account]."),
        ("GB29NWBK60161331926819", "[account]"),
        ("card 4111 1111 1111 1111 exp", "card [account] exp"),
        ("card 4111-1111-1111-1111", "card [account]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, left: str) -> None:
    assert Redactor(ALL).text(text) == left


@pytest.mark.parametrize(
    "text",
    ["2026-11-29 08:00", "in 1999, 12 of 345", "version 1.2.3.4", "3.14159265358979", "a@b", "@ann", "x = 10000000",
     "ISBN 9", "5 + 00", "at 10.30", "DE", "12345-6789"],
)  # fmt: skip
def test_what_only_looks_a_little_like_it_stays(text: str) -> None:
    assert Redactor(ALL).text(text) == text


def test_prompt_answers_arguments_of_calls_and_reasons_are_redacted_before_anything_is_written(tmp_path: Path) -> None:
    mail, own = "ann@example.org", "Ms. Secret"
    function = {"name": "weather", "arguments": f'{{"city": "{mail}", "name": "{mail}"}}'}
    answer = {
        "role": "assistant",
        "content": own,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    feedback = [say("a", correction=f"Ask {own}", reason=f"by {mail}"), say("b", "up", reason=mail)]
    captures = [capture("a", f"I am {mail}", answer, tools=[WEATHER]), capture("b", f"{mail}?", own)]
    run = Collected(tmp_path, captures, feedback, redact=("mail",), redact_patterns=("Ms[.] Secret",))

    written = "".join(path.read_text() for path in run.output.rglob("*") if path.is_file())
    assert mail not in written and own not in written
    assert run.pairs[0]["rejected"][0]["tool_calls"][0]["function"]["arguments"] == {"city": "[mail]", "name": "[mail]"}
    assert run.pairs[0]["tools"] == [WEATHER]
    assert run.report.as_json()["redacted"] == {"mail": 7, "own": 3}


@given(st.text(alphabet="aA0 -.@+()/", max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    redactor = Redactor(ALL)
    once = redactor.text(text)
    assert "@" not in once or Redactor(["mail"]).text(once) == once


@pytest.mark.parametrize("piece", ["0 ", "1-", "a.", "a@", "+1 ", "AB12 ", "(0) "])
def test_no_text_makes_a_pattern_take_more_than_its_length(piece: str) -> None:
    redactor = Redactor(ALL)

    def seconds(pieces: int) -> float:
        start = time.process_time()
        redactor.text(piece * pieces)
        return time.process_time() - start

    seconds(1000)
    assert seconds(20_000) < 40 * max(seconds(2_000), 1e-3)  # ten times as long a text; 100 times were a square
