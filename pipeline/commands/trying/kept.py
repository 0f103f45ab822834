"""Where a version's answers are kept on this machine, and what people say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import feedback
from pipeline.errors import UserError
from pipeline.local.state import conversations


@dataclass(frozen=True)
class Kept:
    """The captures of one version of a pipeline under a local root."""

    root: Path
    pipeline: str
    version: int

    def answer(self, exchange: Mapping[str, Any]) -> str:
        """Keep a request and its reply; returns the inference id."""
        return conversations.capture(self.root, self.pipeline, self.version, exchange)

    def opinion(self, inference_id: str, verdict: str | None, **said: Any) -> str:
        """Keep what a person says of an answer; returns where it lies.

        Args:
            said: correction and reason, as for `pipeline.feedback.opinion`.

        Raises:
            UserError: it is no feedback.
        """
        try:
            return feedback.say(conversations.feedback(self.root, self.pipeline), inference_id, verdict, **said)
        except ValueError as error:
            raise UserError(str(error)) from None
