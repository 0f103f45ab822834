"""Messages in the one form that the rest knows: reasoning by any of its names is kept, and counted."""

from __future__ import annotations

import re

import orjson
import pytest

from steps.preprocess.read.sources import RawRow
from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.rules import Rules
from steps.preprocess.shards.convert import Layout, convert
from steps.preprocess.shards.tally import Tally
from steps.shared.records import decode

SIDE = Side(None, {})
KEPT = {"role": "assistant", "content": "Oslo.", "reasoning_content": "Hm, the capital."}
FORMS = [
    {"content": "Oslo.", "reasoning_content": "Hm, the capital."},
    {"content": "Oslo.", "reasoning": "Hm, the capital."},
    {"content": "Oslo.", "thinking": "Hm, the capital."},
    {"content": "Oslo.", "reasoning_content": "Hm, the capital.", "reasoning": "Hm, the capital."},
    {"content": [{"type": "thinking", "thinking": "Hm, the capital."}, {"type": "text", "text": "Oslo."}]},
    {"content": [{"type": "reasoning", "text": "Hm, the capital."}, {"type": "text", "text": "Oslo."}]},
    {
        "content": [
            {
                "type": "thinking",
                "thinking": [{"type": "text", "text": "Hm, "}, {"type": "text", "text": "the capital."}],
            },
            {"type": "text", "text": "Oslo."},
        ]
    },
]


@pytest.mark.parametrize("form", FORMS)
def test_reasoning_is_one_field_by_whichever_name_it_comes(form: dict) -> None:
    assert conversation([{"role": "assistant", **form}], "chosen", SIDE) == [KEPT]


def test_a_user_has_no_reasoning_and_an_unreadable_block_is_refused() -> None:
    assert conversation([{"role": "user", "content": "Hi", "thinking": "x"}], "prompt", SIDE) == [
        {"role": "user", "content": "Hi"}
    ]
    with pytest.raises(InvalidRow, match="must be text"):
        conversation([{"role": "assistant", "content": [{"type": "thinking", "thinking": 7}]}], "chosen", SIDE)


def test_a_pair_that_differs_in_its_reasoning_alone_is_a_pair_and_is_counted() -> None:
    answers = [{"role": "assistant", "content": "Oslo.", "reasoning": text} for text in ("Hm.", "Well.")]
    row = {"prompt": [{"role": "user", "content": "Capital?"}], "chosen": answers[:1], "rejected": answers[1:]}
    made = convert(RawRow("file", 1, orjson.dumps(row)), Layout(None), Rules())
    record = decode(made.record)
    assert (record.chosen[0]["reasoning_content"], record.rejected[0]["reasoning_content"]) == (
        "Hm.",
        "Well.",
    )
    tally = Tally()
    tally.count_converted(made)
    assert tally.reasoning == {"chosen": 1, "rejected": 1}


SECRET = "s3cret" * 100


@pytest.mark.parametrize(
    "turn",
    [
        {"role": SECRET, "content": "q"},
        {"content": "q", SECRET: 1},
        {"role": "user", SECRET: "q"},
        {"role": "user", "content": [{"type": SECRET}]},
        {"role": "user", "content": "q", "tool_calls": [{"name": "f", "arguments": SECRET}]},
        {"role": "assistant", "content": [{"type": SECRET}]},
    ],
)
def test_a_message_quotes_no_more_than_eighty_characters_of_a_row(turn: dict) -> None:
    with pytest.raises(InvalidRow) as error:
        conversation([turn], "prompt", SIDE)
    quoted = max(re.findall(r"(?:s3cret|[s3cret])+", str(error.value)), key=len, default="")
    assert len(quoted) <= 80
