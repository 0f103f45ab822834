"""Pairs and unpaired answers as JSON Lines that Preprocess reads, each with where it came from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from steps.collect.answers import Answer, Capture
from steps.collect.captures import CaptureFiles, head_of
from steps.collect.exchange import ARGUMENTS, Exchange, ExchangeReader
from steps.collect.feedback import Opinion
from steps.collect.pairs import Pair
from steps.collect.redact import Redactor
from steps.preprocess.layouts.beside import PROVENANCE
from steps.shared.records import Messages

PAIRS, UNPAIRED = "pairs/pairs.jsonl", "unpaired/unpaired.jsonl"


class Rows:
    """Reads captures again, takes personal data out, and makes the lines of what is kept."""

    def __init__(self, files: CaptureFiles, redactor: Redactor) -> None:
        self._files, self._redactor = files, redactor
        self._exchanges = ExchangeReader()

    def line(self, item: Pair | Answer) -> bytes:
        """A pair, or a judged answer that is in none, as JSON with the end of its line."""
        row = self._pair(item) if isinstance(item, Pair) else self._unpaired(item)
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

    def _pair(self, pair: Pair) -> dict[str, Any]:
        rejected = self._read(pair.rejected)
        about: dict[str, Any] = {"rule": pair.rule, "rejected": self._origin(pair.rejected)}
        if isinstance(pair.chosen, Answer):
            chosen = self._read(pair.chosen).answer
            about["chosen"] = self._origin(pair.chosen)
        else:
            chosen = orjson.loads(pair.chosen[0].correction or b"")
            about["chosen"] = {"correction": True, **self._said(pair.chosen)}
        return self._row(rejected, chosen=chosen, rejected=rejected.answer) | {PROVENANCE: about}

    def _unpaired(self, answer: Answer) -> dict[str, Any]:
        exchange = self._read(answer)
        row = self._row(exchange, answer=exchange.answer)
        return row | {"verdict": "up" if answer.side > 0 else "down", PROVENANCE: self._origin(answer)}

    def _read(self, answer: Answer) -> Exchange:
        """Of its first capture: the others have the same prompt, but for case and white space, and the same answer."""
        return self._exchanges.read(head_of(self._files.read(_first(answer).place)))

    def _row(self, exchange: Exchange, **answers: Messages) -> dict[str, Any]:
        row: dict[str, Any] = {"prompt": self._redactor.messages(exchange.prompt)}
        row |= {name: self._redactor.messages(messages) for name, messages in answers.items()}
        if exchange.tools is not None:
            row["tools"] = exchange.tools
        if exchange.arguments:
            row[ARGUMENTS] = exchange.arguments
        return row

    def _origin(self, answer: Answer) -> dict[str, Any]:
        """Who answered when, and what was said of it."""
        first = _first(answer)
        known = {
            "inference_ids": sorted(capture.id for capture in answer.captures),
            "model_version": first.origin.version,
            "endpoint": first.origin.endpoint,
            "variant": first.origin.variant,
            "model": first.model,
            "answered_at": first.time or None,
        }
        return {name: value for name, value in known.items() if value is not None} | self._said(answer.opinions)

    def _said(self, opinions: Iterable[Opinion]) -> dict[str, Any]:
        """Without the names of people: the ids lead to them, in the feedback itself."""
        opinions = list(opinions)
        reasons = [self._redactor.text(opinion.reason) for opinion in opinions if opinion.reason]
        times = [opinion.at for opinion in opinions if opinion.at]
        found = {"verdicts": sorted(opinion.verdict for opinion in opinions), "said_at": max(times, default=None)}
        return {name: value for name, value in found.items() if value is not None} | (
            {"reasons": reasons} if reasons else {}
        )


def _first(answer: Answer) -> Capture:
    return min(answer.captures, key=lambda capture: (capture.time, capture.id))


def write(path: Path, lines: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(lines)
