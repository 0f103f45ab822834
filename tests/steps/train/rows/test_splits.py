"""A split and its figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.rows.splits import Split, require_enough, require_reported
from steps.train.rows.tokenise import Left, LeftRow, Pair
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


def test_an_epoch_sees_the_pairs_of_feedback_as_often_as_they_weigh_and_the_others_once() -> None:
    said = replace(row("single"), id="said", source_file="feedback:pairs.jsonl")
    without_tokens = replace(said, id="left out")
    rows = [replace(row("single"), id="given", source_file="feedback.jsonl"), said, without_tokens]
    pairs = [Pair(name, [1], [2], [1], [3], [1], "chat", False) for name in ("given", "said")]
    found = Split("train", rows, pairs, Left())
    assert [pair.id for pair in found.of_feedback()] == ["said"]
    assert [pair.id for pair in found.seen(1)] == ["given", "said"]
    assert Counter(pair.id for pair in found.seen(3)) == {"given": 1, "said": 3}


def split(used: int, *reasons: str) -> Split:
    """A split of so many rows that are used, and the reasons of the others."""
    pair = Pair("id", [1], [2], [1], [3], [1], "chat", False)
    left = [LeftRow(place, "id", "f.jsonl", place + 1, reason) for place, reason in enumerate(reasons)]
    rows = [row("single")] * (used + sum(reason != "prompt_cut" for reason in reasons))
    return Split("train", rows, [pair] * used, Left(left))


def test_more_rows_left_out_than_may_be_end_the_run_with_every_reason_and_the_fix() -> None:
    arguments = TrainArguments(model_id="m", max_length=64)
    with pytest.raises(StepError) as refused:
        require_enough(split(17, "too_long", "too_long", "prompt_cut", "answer_unclosed"), arguments)
    assert str(refused.value) == (
        "train: 3 of 20 rows (15.0%) cannot be used; 10.0% are allowed\n"
        "  too_long: 2 rows, such as f.jsonl:1, f.jsonl:2\n"
        "  answer_unclosed: 1 rows, such as f.jsonl:4\n"
        "To fix it: raise max_length (now 64), set truncation: cut_prompt, mend these rows, or raise "
        "max_left_out_fraction (now 0.1)."
    )
    cutting = arguments.model_copy(update={"truncation": "cut_prompt"})
    with pytest.raises(StepError, match=r"To fix it: raise max_length \(now 64\), mend these rows, or raise"):
        require_enough(split(17, "too_long", "too_long", "too_long"), cutting)
    with pytest.raises(StepError, match=r"To fix it: mend these rows, or raise max_left_out_fraction \(now 0\.1\)\.$"):
        require_enough(split(1, "answer_unclosed"), arguments)


def test_rows_that_are_listed_and_trained_on_are_not_left_out() -> None:
    require_enough(split(9, "too_long", *["prompt_cut"] * 5), TrainArguments(model_id="m"))
    require_enough(split(1, *["too_long"] * 99), TrainArguments(model_id="m", max_left_out_fraction=1))
    with pytest.raises(StepError, match=r"1 of 10 rows \(10\.0%\) cannot be used; 0\.0% are allowed"):
        require_enough(split(9, "too_long"), TrainArguments(model_id="m", max_left_out_fraction=0))
