"""A conversation with a version: what was said, the tools, and which results of calls are still to come."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import UserError
from steps.shared.records import Messages, Tools

UNASKED = "nothing was asked yet; say something to the model first"


@dataclass(frozen=True)
class Turn:
    """
    Attributes:
        asked: what the user said, or the results of the calls before.
        said: the answer, as a message.
        inference_id: under which both were kept.
    """

    asked: Messages
    said: dict[str, Any]
    inference_id: str

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of declared or undeclared tools in the answer, where tools were declared."""
        return self.said.get("tool_calls", [])


@dataclass
class Conversation:
    """
    Attributes:
        results: of the last answer's calls, those that have come.
    """

    system: str | None
    tools: Tools
    turns: list[Turn] = field(default_factory=list)
    results: Messages = field(default_factory=list)

    def messages(self, asked: Messages) -> Messages:
        """All that was said, and what is asked now."""
        before: Messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            before += [*turn.asked, turn.said]
        return before + asked

    def again(self) -> Messages:
        """All that was said up to the last answer, without it.

        Raises:
            UserError: nothing was asked.
        """
        last = self.last()
        return self.messages([])[: -len(last.asked) - 1] + last.asked

    def last(self) -> Turn:
        """
        Raises:
            UserError: nothing was asked.
        """
        if not self.turns:
            raise UserError(UNASKED)
        return self.turns[-1]

    def add(self, asked: Messages, reply: dict[str, Any], inference_id: str) -> None:
        """Note a question and its answer.

        Args:
            reply: the message of a chat completion.
        """
        self.turns.append(Turn(asked, _kept(reply), inference_id))
        self.results = []

    def result(self, text: str) -> Messages | None:
        """Note what the next of the called tools gave; all results, in the order of the calls, once they are there.

        Raises:
            UserError: no call waits for one.
        """
        calls = self.turns[-1].calls if self.turns else []
        if not calls:
            declare = "" if self.tools else "; declare the tools before you ask: /tools FILE.json"
            raise UserError(f"the last answer has no call that can be read{declare}" if self.turns else UNASKED)
        call = calls[len(self.results)]
        self.results.append({"role": "tool", "name": call["function"]["name"], "content": text})
        if len(self.results) < len(calls):
            return None
        whole, self.results = self.results, []
        return whole

    def undo(self) -> Turn:
        """Take the last question and its answer back.

        Raises:
            UserError: nothing was asked.
        """
        self.last()
        self.results = []
        return self.turns.pop()

    def document(self) -> dict[str, Any]:
        """The conversation in the form that Preprocess reads: messages, and tools where there are some."""
        self.last()
        return {"messages": self.messages([]), **({"tools": self.tools} if self.tools else {})}


def _kept(reply: dict[str, Any]) -> dict[str, Any]:
    """A message of a chat completion as chat templates read it: calls with their arguments as values."""
    message = {"role": "assistant", "content": reply["content"] or ""}
    if "tool_calls" not in reply:
        return message
    functions = [call["function"] for call in reply["tool_calls"]]
    calls = [
        {"type": "function", "function": {"name": one["name"], "arguments": json.loads(one["arguments"])}}
        for one in functions
    ]
    return {**message, "tool_calls": calls}
