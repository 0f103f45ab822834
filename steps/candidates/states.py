"""What becomes of every prompt that Candidates is given: exactly one of these states, whose counts add up."""

from __future__ import annotations

from steps.preprocess.rows.reasons import Code


class State(Code):
    PAIRED = "paired", "its best and its worst answer make a pair"
    NO_DIFFERENCE = "no_difference", "its answers differ by no more than the margin"
    NONE_GOOD = "none_good", "something is wrong with each of its answers"
    TOO_FEW = "too_few", "fewer than two of its answers can be compared: different ones that end within max_new_tokens"
    NOT_RENDERED = "not_rendered", "the chat template does not write its best or its worst answer"
    NO_VERIFIER = "no_verifier", "it declares no tools, or their calls cannot be read, and there is no judge"
    NO_MODEL = "no_model", "the champion's adapter does not belong to this run's base"
    TOO_LONG = "too_long", "the model has no room for it and max_new_tokens"
    REFUSED = "refused", "the chat template does not write it"
    OVER_TIME = "over_time", "the time was over before all of its answers were there"
    OVER_LIMIT = "over_limit", "more prompts than max_prompts"
    HAS_PAIR = "has_pair", "people's opinions have made a pair of it"
    DUPLICATE = "duplicate", "the same prompt stands there before; what is known of its answers is put together"
    UNREADABLE = "unreadable", "the line is no prompt"
