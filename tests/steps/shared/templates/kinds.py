"""The kinds of rows that chat templates are examined with: one of each, small enough to read in the golden table."""

from __future__ import annotations

from typing import Any

from steps.shared.records import Record

Message = dict[str, Any]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str, *calls: Message, **more: str) -> Message:
    return {"role": "assistant", "content": text, **more, **({"tool_calls": list(calls)} if calls else {})}


def call(name: str, **arguments: Any) -> Message:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def result(text: str) -> Message:
    return {"role": "tool", "content": text}


def tool(name: str, *parameters: str) -> Message:
    properties = {parameter: {"type": "string", "description": f"The {parameter}."} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": schema}}


TOOLS = [tool("find_ship", "port", "day"), tool("list_harbours")]
SYSTEM = {"role": "system", "content": "Answer as a harbour master."}
ASK = user("Which ship is in Oslo?")
FIND = call("find_ship", port="Oslo", day="Monday")
FOUND = result("the Fram, berth 7")
REFUSE = said("I cannot know that.")
THOUGHT = "They ask about Oslo."

# name -> prompt, chosen, rejected, tools
KINDS: dict[str, tuple[list[Message], list[Message], list[Message], list[Message] | None]] = {
    "single": ([ASK], [said("The Fram.")], [REFUSE], None),
    "system": ([SYSTEM, ASK], [said("The Fram.")], [REFUSE], None),
    "multi_turn": ([ASK, said("The Fram."), user("And in Bergen?")], [said("The Gjøa.")], [REFUSE], None),
    "system_multi_turn": ([SYSTEM, ASK, said("The Fram."), user("Bergen?")], [said("The Gjøa.")], [REFUSE], None),
    "blanks": ([ASK], [said("\n\nThe Fram.\n")], [said("  No ship. ")], None),
    "blanks_only_differ": ([ASK], [said("The Fram.")], [said("The Fram.  ")], None),
    "tools_text": ([ASK], [said("The Fram.")], [REFUSE], TOOLS),
    "call": ([ASK], [said("", FIND)], [REFUSE], TOOLS),
    "two_calls": ([ASK], [said("", FIND, call("list_harbours"))], [REFUSE], TOOLS),
    "call_or_call": ([ASK], [said("", FIND)], [said("", call("find_ship", port="Bergen", day="Monday"))], TOOLS),
    "content_and_call": ([ASK], [said("I look it up.", FIND)], [REFUSE], TOOLS),
    "no_arguments": ([ASK], [said("", call("list_harbours"))], [REFUSE], TOOLS),
    "numbers": ([ASK], [said("", call("find_ship", port="Oslo", day=3, open=True))], [REFUSE], TOOLS),
    "result_in_prompt": ([ASK, said("", FIND), FOUND], [said("The Fram.")], [REFUSE], TOOLS),
    "call_result_text": ([ASK], [said("", FIND), FOUND, said("It is the Fram.")], [REFUSE], TOOLS),
    "reasoning": ([ASK], [said("The Fram.", reasoning_content=THOUGHT)], [REFUSE], None),
    "reasoning_both": (
        [ASK],
        [said("The Fram.", reasoning_content=THOUGHT)],
        [said("No ship.", reasoning_content="I guess.")],
        None,
    ),
    "reasoning_only_differs": (
        [ASK],
        [said("The Fram.", reasoning_content=THOUGHT)],
        [said("The Fram.", reasoning_content="I guess.")],
        None,
    ),
    "reasoning_call": ([ASK], [said("", FIND, reasoning_content=THOUGHT)], [REFUSE], TOOLS),
    "think_tags_in_text": (
        [ASK],
        [said(f"<think>{THOUGHT}</think>The Fram.")],
        [said("<think>I guess.</think>No ship.")],
        None,
    ),
}


def row(kind: str) -> Record:
    prompt, chosen, rejected, tools = KINDS[kind]
    return Record(kind, prompt, chosen, rejected, tools, "chat", "kinds.jsonl", 1)
