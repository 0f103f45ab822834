"""A captured request with its answer, in the chat-completions form, as prompt and answer in canonical messages.

The form is OpenAI's, as vLLM and DJL Serving speak it (github.com/vllm-project/vllm, entrypoints/openai): `messages`,
`tools` and `chat_template_kwargs` in the request, `choices[].message` and `finish_reason` in the answer. Limits: one
answer a request; images are refused, as everywhere here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from steps.collect.captures import Head, Unreadable, body_of
from steps.collect.states import CaptureState
from steps.collect.stream import joined
from steps.preprocess.rows.json_values import refuse_lost_digits, refuse_nul
from steps.preprocess.rows.messages import conversation
from steps.preprocess.rows.notes import Side
from steps.preprocess.rows.reasons import InvalidRow
from steps.preprocess.rows.tools import Declared, ToolReader
from steps.preprocess.rows.turn_order import check_answer, check_prompt
from steps.preprocess.shards.prompt_keys import prompt_key
from steps.shared.records import Messages, canonical, canonical_messages

TRUNCATED = ("length", "max_tokens")  # reasons to end of vLLM, and of Anthropic's form
FAILED = ("content_filter", "error", "abort")
ARGUMENTS = "chat_template_kwargs"
ANSWER = "endpointOutput"


class LeftOut(Exception):
    """A capture that is no answer to train on: its state, and why."""

    def __init__(self, state: CaptureState, reason: str) -> None:
        super().__init__(reason)
        self.state = state


@dataclass(frozen=True)
class Exchange:
    """
    Attributes:
        prompt: what was said before the answer.
        answer: one assistant's message.
        tools: what was declared, in the one form of Preprocess; None where nothing was.
        arguments: the request's own of the chat template; empty where it has none.
        key: equal for prompts that count as the same one, by the split's key, with the same tools and arguments.
        model: the name by which the request or the answer names the model; None where neither does.
    """

    prompt: Messages
    answer: Messages
    tools: list[Any] | None
    arguments: dict[str, Any]
    key: bytes
    model: str | None

    @property
    def answer_digest(self) -> bytes:
        """Equal for answers that say the same, 16 bytes."""
        return answer_digest(self.answer)

    @property
    def calls(self) -> bool:
        return any("tool_calls" in message for message in self.answer)


def answer_digest(answer: Messages) -> bytes:
    """Equal for answers that say the same, whatever ids their calls have; 16 bytes."""
    return hashlib.sha256(canonical_messages(answer)).digest()[:16]


class ExchangeReader:
    """Reads captures, and remembers the tools of those before: most declare the same."""

    def __init__(self) -> None:
        self._tools = ToolReader()

    def read(self, head: Head) -> Exchange:
        """
        Raises:
            LeftOut: request or answer is none to train on.
        """
        request, asked = _object(head, "endpointInput", CaptureState.REQUEST_INVALID)
        reply, answered = _object(head, ANSWER, CaptureState.ERROR)
        message = _message(reply)
        try:
            prompt = read_messages(request.get("messages"), "messages", asked)
            check_prompt(prompt)
            tools = self._tools.declare(request.get("tools"))
            arguments = _arguments(request)
        except InvalidRow as error:
            raise LeftOut(CaptureState.REQUEST_INVALID, str(error)) from None
        try:
            answer = read_messages([message], "the answer", answered)
            check_answer(answer, "the answer")
        except InvalidRow as error:
            raise LeftOut(CaptureState.ERROR, str(error)) from None
        return Exchange(
            prompt, answer, _loaded(tools), arguments, _key(prompt, tools, arguments), _model(request, reply)
        )


def read_messages(value: Any, field: str, written: bytes) -> Messages:
    """Messages in canonical form.

    Args:
        written: the bytes that `value` was parsed from, in which numbers still have all their digits.

    Raises:
        InvalidRow: they are none.
    """
    side = Side(None, {})
    messages = conversation(value, field, side)
    if side.large:
        refuse_lost_digits(written, side.large[0])
    if b"\\u0000" in orjson.dumps(messages):
        refuse_nul(messages)
    return messages


def _object(head: Head, half: str, state: CaptureState) -> tuple[dict[str, Any], bytes]:
    try:
        body = body_of(head, half)
        whole = joined(body) if half == ANSWER else None
        if whole is not None:
            body = orjson.dumps(whole)
        value = orjson.loads(body)
    except Unreadable as error:
        raise LeftOut(state, str(error)) from None
    except orjson.JSONDecodeError as error:
        raise LeftOut(state, f"{half} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise LeftOut(state, f"{half} is no JSON object")
    return value, body


def _message(reply: dict[str, Any]) -> Any:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        raise LeftOut(CaptureState.ERROR, "the answer has no choices")
    if len(choices) > 1:
        raise LeftOut(CaptureState.SEVERAL_ANSWERS, f"{len(choices)} answers to one request")
    choice = choices[0]
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise LeftOut(CaptureState.ERROR, "the answer has no message")
    ended = choice.get("finish_reason")
    if ended in TRUNCATED:
        raise LeftOut(CaptureState.TRUNCATED, f"the answer ended by {ended}")
    if ended in FAILED:
        raise LeftOut(CaptureState.ERROR, f"the answer ended by {ended}")
    return choice["message"]


def _arguments(request: dict[str, Any]) -> dict[str, Any]:
    given = request.get(ARGUMENTS)
    return given if isinstance(given, dict) else {}


def _key(prompt: Messages, tools: Declared, arguments: dict[str, Any]) -> bytes:
    parts = (prompt_key(prompt), tools.digest, canonical(arguments) if arguments else b"")
    return hashlib.sha256(b"".join(parts)).digest()[:16]


def _loaded(tools: Declared) -> list[Any] | None:
    return orjson.loads(tools.text) if tools.text else None


def _model(request: dict[str, Any], reply: dict[str, Any]) -> str | None:
    named = request.get("adapters") or reply.get("model")
    return named if isinstance(named, str) else None
