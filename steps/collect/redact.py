"""Personal data out of texts, by patterns: mail addresses, phone numbers, account and card numbers, and one's own.

A pattern finds what looks like it: a phone number without a country code or an area in brackets or with a 0 passes, a
name passes always. What is found becomes `[mail]`, `[phone]`, `[account]`, `[own]`. Every length in a pattern here is
bounded, so that no text takes long.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from steps.shared.contract import StepError
from steps.shared.records import Messages

PATTERNS = {
    "mail": r"(?<![\w.+-])[\w.+-]{1,64}@[a-zA-Z0-9-]{1,63}(?:\.[a-zA-Z0-9-]{1,63}){1,8}",
    # IBAN (ISO 13616): country, check digits, up to 30 more in groups; cards: 13 to 19 digits in groups.
    "account": r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b"
    r"|(?<![\w.-])(?!00)\d(?:[ -]?\d){12,18}(?![\w-])",
    "phone": r"(?<![\w.+])(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){6,14}(?!\w)"
    r"|(?<![\w.-])(?:\(\d{2,5}\)|0\d{1,4})[ /-]?\d(?:[ -]?\d){4,9}(?!\w)"
    r"|(?<![\w.-])\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w-])",
}
OWN = "own"
PLAIN = frozenset(("role", "tool_call_id", "tool_calls"))  # keys of a message that say nothing, or are seen to apart


class Redactor:
    """Replaces what the patterns find, and counts it by the pattern's name.

    Attributes:
        counts: how often each pattern was found, those included that never were.
    """

    def __init__(self, names: Iterable[str], own: Iterable[str] = ()) -> None:
        """
        Args:
            names: of PATTERNS.
            own: regular expressions of the user's.

        Raises:
            StepError: an unknown name, or what is no regular expression or one that finds nothing at all everywhere.
        """
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for name in names:
            if name not in PATTERNS:
                raise StepError(f"--redact {name}: unknown; known: {', '.join(PATTERNS)}; your own: --redact-pattern")
            self._patterns.append((name, re.compile(PATTERNS[name])))
        for pattern in own:
            self._patterns.append((OWN, _compiled(pattern)))
        self.counts: Counter[str] = Counter({name: 0 for name, _ in self._patterns})

    def text(self, text: str) -> str:
        for name, pattern in self._patterns:
            text, found = pattern.subn(f"[{name}]", text)
            self.counts[name] += found
        return text

    def value(self, value: Any) -> Any:
        """A JSON value with its texts redacted, and its keys as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(entry) for entry in value]
        if isinstance(value, dict):
            return {key: self.value(entry) for key, entry in value.items()}
        return value

    def messages(self, messages: Messages) -> Messages:
        """Messages in canonical form, with what is said and the arguments of calls redacted."""
        return [self._message(message) for message in messages]

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        said = {key: entry if key in PLAIN else self.value(entry) for key, entry in message.items()}
        if "tool_calls" in message:
            said["tool_calls"] = [self._call(call) for call in message["tool_calls"]]
        return said

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        function = call["function"]
        return {**call, "function": {**function, "arguments": self.value(function["arguments"])}}


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise StepError(f"--redact-pattern {pattern}: no regular expression: {error}") from None
    if compiled.match(""):
        raise StepError(f"--redact-pattern {pattern}: finds an empty text; let it find at least a character")
    return compiled
