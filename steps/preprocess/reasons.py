"""Why a row is quarantined: the stable codes in reports and quarantine files, and the exception that bears one."""

from __future__ import annotations

from enum import StrEnum

MESSAGE_LIMIT = 500  # a row may be named by keys of any length


class Reason(StrEnum):
    """A code once published keeps its meaning: people count and filter by them."""

    NOT_JSON = "not_json"  # the row, or the structure around it, is not JSON
    INVALID_UTF8 = "invalid_utf8"
    NUL_BYTE = "nul_byte"  # raw, or as \u0000 in a text
    TOO_LARGE = "too_large"  # one line beyond the reader's limit
    TOO_DEEP = "too_deep"  # nested beyond what can be written back as JSON
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    EMPTY_PROMPT = "empty_prompt"
    EMPTY_RESPONSE = "empty_response"  # blank or null
    SAME_RESPONSE = "same_response"
    UNKNOWN_ROLE = "unknown_role"
    TURN_ORDER = "turn_order"
    NOT_ASSISTANT = "not_assistant"  # an answer holds a turn of someone else
    PROMPT_MISMATCH = "prompt_mismatch"  # the prompt is not the one that the conversations answer
    TOOLS_INVALID = "tools_invalid"  # a declared tool is not a function with a JSON schema
    TOOL_CALL_INVALID = "tool_call_invalid"  # `chosen`, or the prompt, makes a call that is malformed or undeclared
    CONTRADICTORY = "contradictory"  # the same pair also stands the other way round
    TOO_LONG = "too_long"  # over --max-tokens or --max-characters
    TEMPLATE_ERROR = "template_error"  # the tokenizer's chat template refuses the conversation
    LEAKED = "leaked"  # its prompt stands in the validation set that the user brought
    NEAR_DUPLICATE = "near_duplicate"  # its prompt is nearly one that came earlier


NOT_INVALID = (Reason.LEAKED, Reason.NEAR_DUPLICATE)  # sound rows, left out on request: no part of max_invalid_fraction


class InvalidRow(Exception):
    """A row that cannot be trained on. `str(error)` says which field and what is wrong with it."""

    def __init__(self, code: Reason, message: str) -> None:
        super().__init__(message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…")
        self.code = code

    def __reduce__(self) -> tuple[type[InvalidRow], tuple[Reason, str]]:
        return InvalidRow, (self.code, str(self))
