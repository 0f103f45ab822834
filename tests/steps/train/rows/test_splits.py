"""A split and its figures."""

from __future__ import annotations

import pytest

from steps.shared.contract import StepError
from steps.train.rows.splits import Split, require_reported
from steps.train.rows.tokenise import Left
from tests.steps.shared.templates.kinds import row


def test_rows_are_counted_of_which_either_answer_has_reasoning() -> None:
    kinds = ("single", "reasoning", "reasoning_both", "reasoning_call", "think_tags_in_text")
    assert Split("train", [row(kind) for kind in kinds], [], Left()).reasoning == 3


def test_rows_that_the_report_does_not_count_are_refused() -> None:
    records = {"train": [row("single")] * 3, "validation": [row("single")]}
    require_reported(records, {"train": {"rows": {"train": 3, "validation": 9}}, "validation": None})
    for counted, told in ((1234, "1,234 rows"), (2, "2 rows"), (None, "no number of rows")):
        with pytest.raises(StepError) as refused:
            require_reported(records, {"train": {"rows": {"train": counted}}, "validation": None})
        assert str(refused.value) == (
            "train: 3 rows are in the *.parquet files, and the report of the Preprocess step beside them counts "
            f"{told}: a file is missing, or was added; copy the whole output of Preprocess again, or run it again"
        )
    with pytest.raises(StepError, match=r"^train: 3 rows .* counts no number of rows"):
        require_reported(records, {"train": {}, "validation": None})
