"""What the lines of a session do: say something to the version, ask others the same, judge the answer.

Answers go to stdout while they come, or with JSON as one line each when they are whole; everything else to stderr. Only
the version's answers are kept, and belong to the conversation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.commands.shared.options import say, stderr
from pipeline.commands.trying import lines
from pipeline.commands.trying.conversation import Conversation
from pipeline.commands.trying.kept import Kept
from pipeline.commands.trying.lines import Command
from pipeline.commands.trying.voices import Ask, Asked
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.watching import pulse
from steps.answer import calls
from steps.answer.conversation import read_tools
from steps.shared.calls.declared import parameters
from steps.shared.pages import visible
from steps.shared.records import Messages

NONE = "none"


@dataclass(frozen=True)
class Manner:
    """
    Attributes:
        beside: the base answers each question too.
        as_json: each answer is a line of JSON.
        is_typed: a person types at a terminal: ctrl-C ends one answer, and hints are of use.
    """

    max_new_tokens: int
    temperature: float
    beside: bool
    as_json: bool
    is_typed: bool


class Session:
    """A conversation and the models that take part."""

    def __init__(self, voices: Asked, conversation: Conversation, kept: Kept, manner: Manner):
        self._voices, self._conversation, self._kept, self._manner = voices, conversation, kept, manner
        self._does: dict[str, Callable[[str], None]] = {
            "help": lambda _: say(lines.help_text()),
            "base": lambda _: self._again("base"),
            "champion": lambda _: self._again("champion"),
            "history": self._history,
            "tools": self._set_tools,
            "system": self._set_system,
            "result": self._result,
            "up": lambda reason: self._judge("up", reason=reason or None),
            "down": lambda reason: self._judge("down", reason=reason or None),
            "correct": lambda text: self._judge(None, correction=_correction(text)),
            "undo": self._undo,
            "reset": self._reset,
            "save": self._save,
        }

    def take(self, line: str) -> bool:
        """Do what a line says; False where it ends the session.

        Raises:
            UserError, StepError: it cannot be done; nothing has changed.
            KeyboardInterrupt: an answer was interrupted, where nobody is there to ask for another one.
        """
        said = lines.read(line)
        if isinstance(said, Command):
            if said.name == "quit":
                return False
            self._does[said.name](said.argument)
        elif said is not None:
            self._say([{"role": "user", "content": said}])
        return True

    def _say(self, asked: Messages) -> None:
        messages = self._conversation.messages(asked)
        event = self._ask(self._voices.version, messages, "this version" if self._manner.beside else None)
        if event is None:
            say("stopped; the question is taken back")
            return
        exchange = event["exchange"]
        name = self._kept.answer(exchange)
        self._conversation.add(asked, exchange["reply"]["choices"][0]["message"], name)
        base = self._ask(self._voices.base, messages, "the base model") if self._manner.beside else None
        if self._manner.as_json:
            document = {"asked": asked, "version": self._kept.version, "inference_id": name, "answer": _said(event)}
            _print_line(document | ({"base": _said(base)} if base else {}))
        else:
            say(f"inference id {name}")
        if self._manner.is_typed and self._conversation.last().calls:
            say("what a call gives: /result TEXT")

    def _again(self, name: str) -> None:
        ask, heading = {
            "base": (self._voices.base, "the base model"),
            "champion": (self._voices.champion, "the champion"),
        }[name]
        event = self._ask(ask, self._conversation.again(), heading)
        if event is None:
            say("stopped")
        elif self._manner.as_json:
            _print_line({"asked": self._conversation.last().asked, name: _said(event)})

    def _ask(self, ask: Ask, messages: Messages, heading: str | None) -> dict[str, Any] | None:
        """The answer, shown with its size and its calls; None where ctrl-C ended it."""
        request = {
            "messages": messages,
            "tools": self._conversation.tools,
            "max_new_tokens": self._manner.max_new_tokens,
            "temperature": self._manner.temperature,
        }
        with _Shown(heading, self._manner.as_json) as shown:
            event = ask(request, shown.heard)
        if event["stopped"]:
            if not self._manner.is_typed:
                raise KeyboardInterrupt
            return None
        answer = event["answer"]
        end = ", cut there by --max-new-tokens" if answer["cut"] else ""
        say(f"{answer['tokens']} tokens of answer in {answer['seconds']:.1f} s{end}")
        for line in calls.lines(_calls(event)):
            say(line)
        return event

    def _set_tools(self, argument: str) -> None:
        if argument:
            self._conversation.tools = None if argument == NONE else read_tools(Path(argument).expanduser())
        named = parameters(self._conversation.tools)
        say(f"declared: {', '.join(map(visible.name, named))}" if named else "no tools are declared")

    def _set_system(self, argument: str) -> None:
        if argument:
            self._conversation.system = None if argument == NONE else argument
        system = self._conversation.system
        say(f"system: {system}" if system else "there is no system message")

    def _result(self, text: str) -> None:
        whole = self._conversation.result(text)
        if whole is None:
            there, wanted = len(self._conversation.results), len(self._conversation.last().calls)
            say(f"{there} of {wanted} results; what the next call gave: /result TEXT")
        else:
            self._say(whole)

    def _judge(self, verdict: str | None, **said: Any) -> None:
        say(f"noted: {self._kept.opinion(self._conversation.last().inference_id, verdict, **said)}")

    def _history(self, _: str) -> None:
        for message in self._conversation.document()["messages"]:
            functions = [call["function"] for call in message.get("tool_calls", ())]
            called = [f"calls {one['name']} {json.dumps(one['arguments'], ensure_ascii=False)}" for one in functions]
            said = " ".join(filter(None, [message["content"], *called]))
            say(f"{message['role']}: {visible.visible(said)}")

    def _undo(self, _: str) -> None:
        asked = self._conversation.undo().asked[-1]["content"]
        say(f"taken back: {asked}")

    def _reset(self, _: str) -> None:
        self._conversation.turns.clear()
        self._conversation.results.clear()
        say("begun anew")

    def _save(self, argument: str) -> None:
        path = Path(argument).expanduser()
        document = self._conversation.document()
        if path.exists():
            raise UserError(f"{path}: is there already; name another file")
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}; make it, or name another file")
        write_json(path, document)
        say(f"saved: {path}")


class _Shown:
    """An answer while it comes: a sign of life until it begins, its heading, its text without what moves a cursor."""

    def __init__(self, heading: str | None, as_json: bool):
        self._heading, self._as_json = heading, as_json
        self._waiting = ExitStack()

    def __enter__(self) -> _Shown:
        self._waiting.enter_context(pulse.working(stderr, f"{self._heading or 'this version'} answers"))
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()

    def heard(self, text: str) -> None:
        """Show the next part."""
        if self._as_json:
            return
        self._waiting.close()
        if self._heading:
            print(f"--- {self._heading}", flush=True)
            self._heading = None
        print(visible.visible(text), end="", flush=True)


def _calls(event: dict[str, Any]) -> calls.Calls:
    return calls.Calls(tuple(calls.Marked(**call) for call in event["calls"]), event["broken"])


def _said(event: dict[str, Any]) -> dict[str, Any]:
    """An answer as the command's JSON has it where one question was asked."""
    return {**event["answer"], "calls": event["calls"], "broken": event["broken"]}


def _print_line(document: dict[str, Any]) -> None:
    print(json.dumps(document, ensure_ascii=False), flush=True)


def _correction(text: str) -> str | dict[str, Any]:
    """
    Raises:
        UserError: it begins as a message in JSON, and is none.
    """
    if not text.startswith("{"):
        return text
    try:
        value: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"/correct: not a message in JSON ({error}), which is what begins with a brace") from None
    return value
