"""The quickstart's sample data: what the generator writes, and that only the conversation tells right from wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from steps.quickstart import preferences
from steps.quickstart.catalogue import TOOLS

COMMITTED = Path(preferences.__file__).with_name("preferences.jsonl")
ACTIONS = {tool.name: tool.action for tool in TOOLS}


def calls(content: str) -> list[dict]:
    if not content.startswith("<TOOLCALL>"):
        return []
    return json.loads(content.removeprefix("<TOOLCALL>").removesuffix("</TOOLCALL>"))


def behaviour(content: str) -> str:
    if calls(content):
        return "call"
    return "ask" if content.endswith("?") else "decline"


def test_the_command_writes_the_committed_file(run, tmp_path: Path) -> None:
    done = run("-m", "steps.quickstart.preferences", "--output", tmp_path / "new" / "sample.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "new" / "sample.jsonl").read_bytes() == COMMITTED.read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sample.jsonl"]


def test_every_behaviour_is_right_as_often_as_it_is_wrong() -> None:
    sides = [
        Counter(behaviour(row[side]["content"]) for row in preferences.rows())
        for side in ("chosen_response", "rejected_response")
    ]
    assert sides[0] == sides[1] == {"call": 396, "ask": 198, "decline": 198}


def test_every_pair_of_behaviours_has_its_rows() -> None:
    pairs = Counter(
        tuple(behaviour(row[side]["content"]) for side in ("chosen_response", "rejected_response"))
        for row in preferences.rows()
    )
    wanted = Counter(tuple(one.replace("miscall", "call") for one in pair) for pair in preferences.PAIRS)
    assert pairs == {pair: count * preferences.ROWS_PER_PAIR for pair, count in wanted.items()}


def test_a_right_call_and_a_wrong_one_differ_in_one_value_that_nobody_said() -> None:
    checked = 0
    for row in preferences.rows():
        right, wrong = (calls(row[side]["content"]) for side in ("chosen_response", "rejected_response"))
        if right and wrong:
            checked += 1
            assert right[0]["name"] == wrong[0]["name"]
            (name,) = [key for key, value in right[0]["arguments"].items() if wrong[0]["arguments"][key] != value]
            made_up = wrong[0]["arguments"][name]
            words = " ".join(message["content"] for message in row["messages"] if message["role"] == "user")
            assert not re.search(rf"\b{re.escape(str(made_up))}\b", words), row
    assert checked == 2 * preferences.ROWS_PER_PAIR


def test_no_two_rows_share_a_prompt() -> None:
    prompts = {json.dumps([row["tools"], row["messages"]]) for row in preferences.rows()}
    assert len(prompts) == len(preferences.rows())


def test_right_calls_use_an_offered_tool_and_only_values_that_were_said() -> None:
    checked = 0
    for row in preferences.rows():
        said = " ".join(message["content"] for message in row["messages"] if message["role"] == "user").lower()
        tools = {tool["name"]: tool for tool in map(json.loads, row["tools"])}
        for call in calls(row["chosen_response"]["content"]):
            checked += 1
            assert list(call["arguments"]) == tools[call["name"]]["parameters"]["required"]
            assert all(str(value).lower() in said for value in call["arguments"].values()), row
    assert checked > 90


def test_calls_that_should_have_been_questions_make_a_value_up() -> None:
    checked = 0
    for row in preferences.rows():
        said = " ".join(message["content"] for message in row["messages"] if message["role"] == "user").lower()
        if behaviour(row["chosen_response"]["content"]) == "ask":
            for call in calls(row["rejected_response"]["content"]):
                checked += 1
                assert [value for value in call["arguments"].values() if str(value).lower() not in said], row
    assert checked > 90


def test_a_request_is_declined_only_when_no_offered_tool_serves_it() -> None:
    checked = 0
    for row in preferences.rows():
        answer = row["chosen_response"]["content"]
        if behaviour(answer) == "decline":
            checked += 1
            offered = [json.loads(tool)["name"] for tool in row["tools"]]
            assert not any(f"{ACTIONS[name]} " in answer or f"{ACTIONS[name]}." in answer for name in offered), row
    assert checked > 90


def test_the_tools_of_the_readmes_question_are_those_of_the_sample() -> None:
    tools = json.loads(COMMITTED.with_name("tools.json").read_text())
    assert len(tools) == 2 and all(tool in [one.schema() for one in TOOLS] for tool in tools)
