"""A session on answers that are made up: what it asks, shows, keeps, and what its commands do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.trying.conversation import Conversation
from pipeline.commands.trying.kept import Kept
from pipeline.commands.trying.session import Manner, Session
from pipeline.errors import UserError
from pipeline.local.state import conversations
from steps.answer.calls import calls_of
from steps.answer.exchange import exchange
from steps.collect.captures import head_of
from steps.collect.exchange import ExchangeReader
from steps.collect.feedback import lines
from steps.shared.contract import StepError

NAME = "dpo-quickstart"
TOOLS = '[{"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}]'
CALLS = (
    '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call><tool_call>{"name": "g", "arguments": {}}</tool_call>'
)


class Told:
    """Models that say what they are told to, and remember what they were asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.says, self.stops = "Lima", False

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        def ask(request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
            self.requests.append((name, request))
            if self.says == "champion":
                raise UserError("no version is approved yet")
            heard(f"{self.says} of {name}\x1b\n")
            messages, tools = request["messages"], request["tools"]
            answer = {"text": self.says, "prompt_tokens": 1, "tokens": 2, "cut": False, "seconds": 0.1}
            calls = calls_of(self.says, tools, "hermes")
            marked = [{"name": call.name, "arguments": call.arguments, "marks": call.marks} for call in calls.calls]
            told = exchange(messages, tools, self.says, cut=False, parser="hermes")
            return {
                "answer": answer, "stopped": self.stops, "exchange": told, "calls": marked, "broken": calls.broken,
            }  # fmt: skip

        return ask

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in self.requests[-1][1]["messages"]]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def session(told: Told, tmp_path: Path) -> Callable[..., Session]:
    def make(*, beside: bool = False, as_json: bool = False, is_typed: bool = True) -> Session:
        manner = Manner(16, 0.5, beside, as_json, is_typed)
        return Session(told, Conversation(None, None), Kept(tmp_path, NAME, 3), manner)

    return make


def captured(root: Path) -> list[dict[str, Any]]:
    files = sorted(conversations.captures(root, NAME).rglob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in files]


def test_each_answer_is_kept_and_the_next_question_has_it_before(session, told, tmp_path, capsys) -> None:
    with_system = session()
    for line in ("/system Be brief.", "Capital of Peru?", "", "And of Chile?"):
        assert with_system.take(line)
    assert told.asked == [
        ("system", "Be brief."), ("user", "Capital of Peru?"), ("assistant", "Lima"), ("user", "And of Chile?"),
    ]  # fmt: skip
    assert told.requests[0][1] | {"messages": None} == {
        "messages": None, "tools": None, "max_new_tokens": 16, "temperature": 0.5,
    }  # fmt: skip
    first, second = captured(tmp_path)
    out, err = capsys.readouterr()
    assert out == "Lima of version[U+001B]\n" * 2
    assert "2 tokens of answer in 0.1 s\n" in err
    assert f"inference id {second['eventMetadata']['inferenceId']}\n" in err
    assert json.loads(second["captureData"]["endpointInput"]["data"])["messages"][2]["content"] == "Lima"
    assert not with_system.take("/quit") and first != second


def test_others_are_asked_the_same_and_change_nothing(session, told, tmp_path, capsys) -> None:
    one = session()
    for line in ("Capital of Peru?", "/base", "/champion"):
        one.take(line)
    assert [name for name, _ in told.requests] == ["version", "base", "champion"]
    assert told.requests[0][1] == told.requests[1][1] == told.requests[2][1]
    assert capsys.readouterr().out.splitlines()[1:] == [
        "--- the base model", "Lima of base[U+001B]", "--- the champion", "Lima of champion[U+001B]",
    ]  # fmt: skip
    one.take("And of Chile?")
    assert len(told.asked) == 3 and len(captured(tmp_path)) == 2


def test_what_is_said_of_the_last_answer_lies_beside_it(session, tmp_path) -> None:
    one = session()
    one.take("Capital of Chile?")
    one.take("/up")
    one.take("/down too short")
    one.take("/correct Santiago")
    one.take('/correct {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}')
    said = [json.loads(line) for _, _, line in lines(conversations.feedback(tmp_path, NAME))]
    (answer,) = captured(tmp_path)
    assert {line["inference_id"] for line in said} == {answer["eventMetadata"]["inferenceId"]}
    verdicts = {(line.get("verdict"), line.get("reason"), str(line.get("correction"))[:3]) for line in said}
    assert verdicts == {("up", None, "Non"), ("down", "too short", "Non"), (None, None, "San"), (None, None, "{'t")}
    for line, message in (("/correct {", "/correct: not a message in JSON"), ("/correct {}", "correction must be a")):
        with pytest.raises(UserError, match=message):
            one.take(line)


def test_calls_are_marked_and_their_results_go_on(session, told, tmp_path, capsys) -> None:
    (tmp_path / "tools.json").write_text(TOOLS)
    one, told.says = session(), CALLS
    one.take(f"/tools {tmp_path / 'tools.json'}")
    one.take("Call!")
    err = capsys.readouterr().err
    assert "declared: f\n" in err and 'call: f {"a": 1}\ncall: g {}\n! g is not declared: the tools are f\n' in err
    assert "what a call gives: /result TEXT" in err
    one.take("/result 5")
    assert "1 of 2 results" in capsys.readouterr().err and len(told.requests) == 1
    told.says = "It is 5."
    one.take("/result 6")
    assert told.asked == [("user", "Call!"), ("assistant", ""), ("tool", "5"), ("tool", "6")]
    with pytest.raises(UserError, match=r"the last answer has no call that can be read$"):
        one.take("/result 7")
    kept = [ExchangeReader().read(head_of(json.dumps(line).encode())) for line in captured(tmp_path)]
    assert [len(each.prompt) for each in kept] == [1, 4]
    assert kept[1].prompt[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}


def test_the_history_shows_the_words_and_the_calls(session, told, tmp_path, capsys) -> None:
    (tmp_path / "tools.json").write_text(TOOLS)
    one, told.says = session(), CALLS
    for line in (f"/tools {tmp_path / 'tools.json'}", "/system Be\x1b[2J brief", "Call!"):
        one.take(line)
    capsys.readouterr()
    one.take("/history")
    assert capsys.readouterr().err.splitlines() == [
        "system: Be[U+001B][2J brief", "user: Call!", 'assistant: calls f {"a": 1} calls g {}',
    ]  # fmt: skip


def test_a_result_without_a_call_says_what_is_missing(session) -> None:
    one = session()
    with pytest.raises(UserError, match="nothing was asked yet"):
        one.take("/result 5")
    one.take("Capital of Chile?")
    with pytest.raises(UserError, match="no call that can be read; declare the tools before you ask"):
        one.take("/result 5")


def test_undo_reset_and_save(session, told, tmp_path, capsys) -> None:
    one, path = session(), tmp_path / "kept.json"
    for line in ("/base", "/undo", "/up", f"/save {path}"):
        with pytest.raises(UserError, match="nothing was asked yet"):
            one.take(line)
    for line in ("/system S", "a", "b", "/undo", f"/save {path}"):
        one.take(line)
    messages = [("system", "S"), ("user", "a"), ("assistant", "Lima")]
    assert [tuple(message.values()) for message in json.loads(path.read_text())["messages"]] == messages
    with pytest.raises(UserError, match="is there already; name another file"):
        one.take(f"/save {path}")
    with pytest.raises(UserError, match="there is no folder"):
        one.take(f"/save {tmp_path}/none/a.json")
    one.take("/reset")
    one.take("/system none")
    one.take("c")
    assert told.asked == [("user", "c")]
    assert "taken back: b" in capsys.readouterr().err


def test_a_stopped_or_failed_question_leaves_the_conversation_as_it_was(session, told, tmp_path, capsys) -> None:
    one = session()
    one.take("a")
    told.stops = True
    one.take("b")
    assert "stopped; the question is taken back" in capsys.readouterr().err
    told.stops, told.says = False, "champion"
    with pytest.raises(UserError, match="no version is approved yet"):
        one.take("c")
    with pytest.raises(StepError, match="the list of tools is missing"):
        one.take("/tools nowhere.json")
    told.says = "Lima"
    one.take("d")
    assert [text for _, text in told.asked] == ["a", "Lima", "d"] and len(captured(tmp_path)) == 2
    told.stops = True
    with pytest.raises(KeyboardInterrupt):
        session(is_typed=False).take("a")


def test_in_json_each_answer_is_a_line(session, told, capsys) -> None:
    one = session(beside=True, as_json=True, is_typed=False)
    one.take("Capital of Peru?")
    one.take("/champion")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.keys() == {"asked", "version", "inference_id", "answer", "base"}
    assert first["asked"] == second["asked"] == [{"role": "user", "content": "Capital of Peru?"}]
    assert first["answer"]["text"] == second["champion"]["text"] == "Lima" and first["answer"]["calls"] == []
