"""The forms in which templates want calls: arguments as objects or as JSON text, with or without ids of nine letters.

A row is rendered in the first form that its template takes. The ids are made from the places of the calls: the same
row has the same ids each time, and they are no part of what identifies it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from steps.shared.records import Messages
from steps.shared.templates.refused import RowRefused

if TYPE_CHECKING:
    from steps.shared.templates.chat_template import ChatTemplate

Out = TypeVar("Out")


@dataclass(frozen=True)
class Form:
    """
    Attributes:
        as_text: arguments are JSON text.
        ids: `own`: as the row has them; `fill`: own, and nine characters where a call has none; `nine`: for all.
    """

    as_text: bool
    ids: str


def in_some_form(
    template: ChatTemplate, conversations: Sequence[Messages], render: Callable[[list[Messages]], Out]
) -> Out:
    """What `render` makes of the conversations, in the first form of their calls that the template takes.

    Args:
        conversations: a prompt, and answers that may follow it; their calls are counted together.

    Raises:
        RowRefused: the template takes none of the forms; says why it did not take the first.
    """
    if not any("tool_calls" in message or message["role"] == "tool" for part in conversations for message in part):
        return render(list(conversations))
    first: RowRefused | None = None
    for form in _forms(template):
        try:
            return render(written(conversations, form))
        except RowRefused as error:
            if error.reason != "template_refused":
                raise
            first = first or error
    assert first is not None  # there is a form at least
    raise first


def _forms(template: ChatTemplate) -> Iterator[Form]:
    ids = ("fill", "nine") if template.reads_ids else ("own",)
    yield from (Form(as_text, kind) for as_text in (False, True) for kind in ids)


def written(conversations: Sequence[Messages], form: Form) -> list[Messages]:
    """A prompt and its answers in a form. Every answer goes on counting where the prompt ends."""
    prompt, *answers = conversations
    begun = _Writer(form)
    out = [begun.messages(prompt)]
    return out + [_Writer(form, begun.count, begun.waiting).messages(answer) for answer in answers]


class _Writer:
    """Writes one conversation; `waiting` are the ids of calls whose results have not come yet."""

    def __init__(self, form: Form, count: int = 0, waiting: Sequence[str] = ()):
        self.form, self.count, self.waiting = form, count, list(waiting)

    def messages(self, messages: Messages) -> Messages:
        return [self._message(message) for message in messages]

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("tool_calls"):
            self.waiting = []
            return {**message, "tool_calls": [self._call(call) for call in message["tool_calls"]]}
        if message["role"] == "tool" and self.form.ids != "own":
            next_id = self.waiting.pop(0) if self.waiting else None
            known = message.get("tool_call_id") if self.form.ids == "fill" else None
            return {**message, "tool_call_id": known or next_id or _nine(self.count)}
        return message

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        function = call["function"]
        if self.form.as_text and not isinstance(function.get("arguments"), str):
            arguments = json.dumps(function.get("arguments", {}), ensure_ascii=False)
            call = {**call, "function": {**function, "arguments": arguments}}
        if self.form.ids != "own":
            known = call.get("id") if self.form.ids == "fill" else None
            call = {**call, "id": known or _nine(self.count)}
            self.waiting.append(call["id"])
        return call


def _nine(number: int) -> str:
    """An id as Mistral's templates demand it: nine letters and digits."""
    return f"call{number:05d}"


def said_by_calls(message: dict[str, Any]) -> Iterator[str]:
    """The names and the texts of the arguments of a message's calls, keys included; numbers have no one form."""
    for call in message.get("tool_calls") or ():
        yield call["function"]["name"]
        yield from _texts(call["function"].get("arguments"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
