"""A model that stays: it answers requests, each a line of JSON on stdin, until stdin ends.

In:   {"messages": […], "tools": […] or null, "max_new_tokens": N, "temperature": T, "as_base": false}
      as_base: without the adapter. SIGINT ends the answer that is being given, and nothing else.
Out:  {"ready": true} once the model is loaded; then for each request {"text": "…"} while the answer comes, and last
      {"answer": …, "stopped": …, "exchange": …, "calls": …, "broken": …}, or {"error": "…"} where it cannot be
      answered. Whatever else libraries print goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.answer.calls import calls_of
from steps.answer.exchange import exchange, parser_of
from steps.answer.weights import Weights
from steps.shared.contract import StepError
from steps.shared.templates.trained_with import trained_kwargs

if TYPE_CHECKING:
    from steps.answer.generate import Voice

Tell = Callable[[dict[str, Any]], None]


class _Interrupt:
    """Whether SIGINT came since the last request."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGINT, self._note)

    def _note(self, *_: object) -> None:
        self.came = True


def stay(weights: Weights, tokenizer: Path) -> None:
    """Load a model and answer until stdin ends.

    Raises:
        StepError: the model cannot be loaded. What is wrong with one request is told to whoever made it.
    """
    interrupt, tell = _Interrupt(), _only_ours()
    from steps.answer.generate import Voice  # torch comes last: what else is wrong is said at once

    voice, parser = Voice(weights, tokenizer, trained_kwargs(tokenizer)), parser_of(tokenizer)
    voice.model  # noqa: B018 - the property loads it
    with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
        tell({"ready": True})
        for line in sys.stdin:
            interrupt.came = False
            try:
                tell(_answered(voice, json.loads(line), parser, tell, lambda: interrupt.came))
            except StepError as error:
                tell({"error": str(error)})


def _answered(
    voice: Voice, request: dict[str, Any], parser: str | None, tell: Tell, stopped: Callable[[], bool]
) -> dict[str, Any]:
    messages, tools, new = request["messages"], request["tools"], request["max_new_tokens"]
    prompt = voice.prompt(messages, tools, new)
    answer = voice.answer(
        prompt, max_new_tokens=new, temperature=request["temperature"], heard=lambda text: tell({"text": text}),
        stopped=stopped, as_base=request["as_base"],
    )  # fmt: skip
    told = exchange(messages, tools, answer.text, cut=answer.cut, parser=parser)
    calls = calls_of(answer.text, tools, parser)
    return {"answer": asdict(answer), "stopped": stopped(), "exchange": told, **asdict(calls)}


def _only_ours() -> Tell:
    """What writes a line to stdout, which from here on nobody else writes to."""
    ours = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(event: dict[str, Any]) -> None:
        left = json.dumps(event).encode() + b"\n"
        while left:  # a signal may cut a write short
            left = left[os.write(ours, left) :]

    return tell
