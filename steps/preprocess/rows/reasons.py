"""Why a row is quarantined: the stable codes in reports and quarantine files, and the exception that bears one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from steps.shared.contract import shortened

MESSAGE_LIMIT = 500  # a row may be named by keys of any length


class Code(StrEnum):
    """A code, and what it means. A code once published keeps its meaning: people count and filter by them."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class Reason(Code):
    """Why a row is quarantined."""

    NOT_JSON = "not_json", "the row, or the structure around it, is not JSON"
    INVALID_UTF8 = "invalid_utf8", "bytes that are not UTF-8"
    NUL_BYTE = "nul_byte", "a NUL, raw or as \\u0000 in a text"
    TABLE_ROW = "table_row", "a row of a CSV or TSV file that does not fit the file's first line"
    TOO_LARGE = "too_large", "one row beyond the reader's limit of 64 MiB"
    TOO_DEEP = "too_deep", "nested beyond what can be written back as JSON"
    MISSING_FIELD = "missing_field", "a field that the layout needs is not there"
    WRONG_TYPE = "wrong_type", "a field holds something else than the layout has there, such as an image"
    UNSUPPORTED_FIELD = "unsupported_field", "a field carries meaning that cannot be trained on here, such as documents"
    ONE_SIDED = (
        "one_sided",
        "one answer, with feedback or without, as KTO and SFT take it; a pair has a better and a worse one",
    )
    EMPTY_PROMPT = "empty_prompt", "no turn of the user, or a blank one"
    EMPTY_RESPONSE = "empty_response", "an answer is blank or null"
    SAME_RESPONSE = "same_response", "chosen and rejected are the same"
    UNKNOWN_ROLE = "unknown_role", "a turn by someone who is neither system, user, assistant nor tool"
    TURN_ORDER = "turn_order", "turns that cannot follow each other"
    NOT_ASSISTANT = "not_assistant", "an answer holds a turn of someone else"
    PROMPT_MISMATCH = "prompt_mismatch", "the prompt is not the one that the conversations answer"
    TOOLS_INVALID = "tools_invalid", "a declared tool is not a function with a JSON schema"
    TOOL_CALL_INVALID = "tool_call_invalid", "prompt or chosen makes a call that is malformed, undeclared or incomplete"
    RENDERED_TEXT = "rendered_text", "a text that went through a chat template already, and is not cleanly unwrapped"
    NUMBER_TOO_LARGE = "number_too_large", "a call, schema or result holds a whole number beyond 64 bits"
    DUPLICATE_KEYS = "duplicate_keys", "an object has a key twice, so one of the values would be lost"
    CONTRADICTORY = "contradictory", "the same pair also stands in the data the other way round"
    TOO_LONG = "too_long", "over max_tokens or max_characters"
    TEMPLATE_ERROR = "template_error", "the tokenizer's chat template refuses the conversation"
    TIED = "tied", "no answer is judged to be better, or not by enough"
    LEAKED = "leaked", "the prompt stands in the validation set that the user brought"
    NEAR_DUPLICATE = "near_duplicate", "the prompt is nearly one that came earlier"


# Rows that were read, and that the others, or a limit, keep out: they say nothing about the file that they stand in.
SOUND_IN_FILE = (Reason.TIED, Reason.LEAKED, Reason.NEAR_DUPLICATE, Reason.CONTRADICTORY, Reason.TOO_LONG)
# Sound rows that are no pair, or are left out on request: no part of max_invalid_fraction.
NOT_INVALID = (Reason.TIED, Reason.LEAKED, Reason.NEAR_DUPLICATE)


def quoted(value: object) -> str:
    """A value of a row as a message quotes it."""
    return shortened(repr(value))


def key_names(keys: Iterable[str]) -> str:
    """The keys of an object as a message quotes them."""
    return shortened(", ".join(keys) or "nothing")


class InvalidRow(Exception):
    """A row that cannot be trained on. `str(error)` says which field and what is wrong with it."""

    def __init__(self, code: Reason, message: str) -> None:
        super().__init__(message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…")
        self.code = code

    def __reduce__(self) -> tuple[type[InvalidRow], tuple[Reason, str]]:
        return InvalidRow, (self.code, str(self))
