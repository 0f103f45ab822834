"""What becomes of every capture and of every line of feedback: exactly one of these states, whose counts add up."""

from __future__ import annotations

from steps.preprocess.rows.reasons import Code


class CaptureState(Code):
    """Of a captured request with its answer."""

    PAIRED = "paired", "the answer stands in a pair"
    UNPAIRED = "unpaired", "judged, and there is no counterpart yet; kept in unpaired/"
    OVER_SHARE = "over_share", "its pairs are left out by max_feedback_share, the oldest first"
    NEUTRAL = "neutral", "no opinion on it is for or against it"
    CONTRADICTORY = "contradictory", "people disagree about it"
    NO_FEEDBACK = "no_feedback", "nobody said anything about it"
    DUPLICATE = "duplicate", "its id was captured before"
    TOO_OLD = "too_old", "answered more than max_age_days ago"
    TRUNCATED = "truncated", "the answer ends where its tokens were used up"
    ERROR = "error", "the endpoint gave no answer, or the answer is none of a chat"
    SEVERAL_ANSWERS = "several_answers", "the request asked for several answers, and an opinion does not say which"
    REQUEST_INVALID = "request_invalid", "the request is no chat that can be trained on"
    UNREADABLE = "unreadable", "the line is no capture"


class FeedbackState(Code):
    """Of a line of feedback."""

    PAIRED = "paired", "it made a pair, or agrees with one"
    UNPAIRED = "unpaired", "a verdict on an answer that has no counterpart yet"
    OVER_SHARE = "over_share", "its pairs are left out by max_feedback_share, the oldest first"
    NEUTRAL = "neutral", "a verdict of 0, and no correction"
    UNCHANGED = "unchanged", "its correction is the answer that it corrects"
    CONTRADICTED = "contradicted", "others said the opposite"
    SUPERSEDED = "superseded", "the same person said something later"
    DUPLICATE = "duplicate", "the same line stands there before"
    OVER_LIMIT = "over_limit", "more of a person in a day than max_per_person_and_day"
    NO_CAPTURE = "no_capture", "nothing was captured under its id"
    CAPTURE_LEFT_OUT = "capture_left_out", "what it is about is no answer to train on; see the captures' states"
    UNREADABLE = "unreadable", "the line is no feedback"
