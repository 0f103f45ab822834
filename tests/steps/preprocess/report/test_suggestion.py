"""Which fields a user is told to map."""

from __future__ import annotations

import json

import pytest

from steps.preprocess.report.suggestion import suggested_columns


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["question", "good", "bad"], {"prompt": "question", "chosen": "good", "rejected": "bad"}),
        (["id", "Question", "better_answer", "worse answer"],
         {"prompt": "Question", "chosen": "better_answer", "rejected": "worse answer"}),
        (["userInput", "preferredResponse", "dispreferredResponse"],
         {"prompt": "userInput", "chosen": "preferredResponse", "rejected": "dispreferredResponse"}),
        (["prompt", "win", "lose"], {"chosen": "win", "rejected": "lose"}),
        (["question", "good"], {}),
        (["prompt", "completion", "label"], {}),
        (["prompt", "chosen", "rejected"], {}),
    ],
)  # fmt: skip
def test_names_that_tell_are_suggested(names, columns):
    assert suggested_columns(json.dumps(dict.fromkeys(names, "x"))) == columns


def test_a_row_that_is_cut_or_no_object_does_no_harm():
    row = json.dumps({"question": "q", "good": "a" * 50, "bad": "b" * 900})
    assert suggested_columns(row[:600])["rejected"] == "bad"
    assert suggested_columns("[1]") == suggested_columns("not JSON") == {}
