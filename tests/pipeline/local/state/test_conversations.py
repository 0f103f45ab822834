"""What `try` and `feedback` leave on this machine is what Collect reads, and where a definition looks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import feedback
from pipeline.errors import UserError
from pipeline.local.state import conversations
from pipeline.local.state.store import Store
from steps.answer.exchange import exchange
from steps.collect.collect import collect
from steps.collect.options import Options
from tests.steps.collect.captured import WEATHER, read

ASKED = [{"role": "user", "content": "Weather in Lima?"}]
SAID = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def told(text: str, parser: str | None = "hermes", cut: bool = False) -> dict[str, Any]:
    return exchange(ASKED, [WEATHER], text, cut=cut, parser=parser)


def test_an_answer_and_an_opinion_become_a_pair_through_the_store(tmp_path: Path) -> None:
    name = conversations.capture(tmp_path, "dpo-x", 2, told(SAID))
    right = {"tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Lima"}}}]}
    conversations.require_captured(tmp_path, "dpo-x", name)
    feedback.say(conversations.feedback(tmp_path, "dpo-x"), name, correction=right)
    uris = ("s3://bucket/dpo/dpo-x/captures/", "s3://bucket/dpo/dpo-x/feedback/")
    for _ in range(2):
        conversations.link(tmp_path, "dpo-x", *uris)

    store = Store(tmp_path)
    assert [len(store.objects(uri)) for uri in uris] == [1, 1]
    collect(Options(store.path(uris[0]), store.path(uris[1]), tmp_path / "out"))
    (pair,) = read(tmp_path / "out/pairs/pairs.jsonl")
    assert pair["provenance"]["rejected"]["inference_ids"] == [name]
    assert (pair["provenance"]["rejected"]["model_version"], pair["provenance"]["rejected"]["endpoint"]) == ("2", "try")
    assert pair["rejected"][0]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}


@pytest.mark.parametrize(
    ("answer", "ended", "calls"),
    [
        (told(SAID), "tool_calls", True),
        (told(SAID, parser=None), "stop", False),
        (told("It is sunny."), "stop", False),
        (told("It is", cut=True), "length", False),
        (told("<tool_call>{broken</tool_call>"), "stop", False),
    ],
)
def test_an_answer_is_told_as_the_endpoint_would(answer: dict[str, Any], ended: str, calls: bool) -> None:
    choice = answer["reply"]["choices"][0]
    assert choice["finish_reason"] == ended
    assert ("tool_calls" in choice["message"]) == calls
    assert answer["request"] == {"messages": ASKED, "tools": [WEATHER]}


def test_an_id_that_nothing_was_answered_under_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was asked yet"):
        conversations.require_captured(tmp_path, "dpo-x", "a")
    name = conversations.capture(tmp_path, "dpo-x", 2, told("Hm."))
    with pytest.raises(
        UserError, match=f"a: no answer of dpo-x lies under that id in .*; the newest are {name}; `try`"
    ):
        conversations.require_captured(tmp_path, "dpo-x", "a")
