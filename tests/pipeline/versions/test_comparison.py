"""Comparisons: the test on the common rows, what differs, what a reader is told."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.errors import UserError
from pipeline.versions import comparison_answers, comparison_plot, comparison_table
from pipeline.versions.comparison import Comparison, compare, differing, paired, verdict, verdicts_on_answers
from pipeline.versions.evaluated import Evaluation, Side, side
from pipeline.versions.judged import read as read_answers
from pipeline.versions.registry import ModelVersion, Options
from tests import judged
from tests.pipeline.registered import evaluation

VERSION = ModelVersion("group", 1, "arn", "Approved", datetime(2026, 1, 2, tzinfo=UTC), metrics_uri="s3://b/run/gate/e")
OPTIONS = Options(" --local", " --group g")
margins = st.dictionaries(st.sampled_from("abcdefghxyz"), st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0]), min_size=1)


def made(margins: dict[str, float], number: int = 1, beta: float = 0.1, **metadata: str) -> Side:
    found = Evaluation.model_validate(evaluation(margins, beta))
    return Side(replace(VERSION, version=number, metadata=metadata), found, {"beta": beta}, f"run {number}")


def spoken(number: int = 1, *, flip: bool = False, **sections: Any) -> Side:
    """A version that was evaluated as it is served and whose answers were judged; `flip`: it says what its base did."""
    content = evaluation({f"row-{n}": 1.0 for n in range(24)})
    rows = judged.rows(24)
    if flip:
        rows = [row | {"answers": row["answers"] | {"candidate": row["answers"]["base"]}} for row in rows]
    content |= {"served": judged.served(content, changed=3), "answers": judged.answers(rows), **sections}
    questions = read_answers("\n".join(map(json.dumps, rows)).encode(), "s3://b/answers.jsonl")
    made = Evaluation.model_validate(content)
    kept = tuple(questions) if made.answers and made.answers.judged else ()
    return Side(replace(VERSION, version=number), made, {}, f"run {number}", kept)


@given(margins, margins)
def test_every_common_row_is_counted_once_and_turning_round_turns_the_counts(one: dict, other: dict) -> None:
    found, turned = paired(one, other), paired(other, one)
    if not one.keys() & other.keys():
        assert found is turned is None
        return
    assert (
        found.rows
        == len(one.keys() & other.keys())
        == found.both + found.first_only + found.second_only + (found.neither)
    )
    assert (found.first_only, found.second_only) == (turned.second_only, turned.first_only)
    assert (found.both, found.neither, found.p_value) == (turned.both, turned.neither, turned.p_value)
    assert found.median_gain == -turned.median_gain


def test_a_tie_counts_between_right_and_wrong() -> None:
    found = paired({"a": 0.0, "b": 0.0, "c": 0.0}, {"a": 1.0, "b": -1.0, "c": 0.0})
    assert (found.second_only, found.first_only, found.both, found.neither) == (1, 1, 0, 1)


def test_rows_that_differ_are_said_plainly() -> None:
    one = made({"a": 1.0, "b": 1.0, "c": 1.0})
    assert compare(one, made({"a": 1.0, "b": 1.0, "d": 1.0}, 2)).notes == [
        "The held-out rows differ: 2 are in both evaluations, of 3 and 3. "
        "Each column is over its own rows; only the paired comparison is over the same."
    ]
    apart = compare(one, made({"x": 1.0}, 2))
    assert apart.notes == [
        "The held-out rows differ: none of the 3 and 1 is in both, so a difference may be that of the rows."
    ]
    assert verdict(apart) == "Nothing can be paired: no row is in both evaluations."


def test_another_beta_another_base_and_the_same_training_are_said() -> None:
    rows = {"a": 1.0}
    notes = compare(made(rows, base_model="one"), made(rows, 2, beta=0.3, base_model="other")).notes
    assert notes[1].startswith("beta differs (0.1 and 0.3)") and notes[2].startswith("The base models differ")
    assert compare(made(rows), made(rows)).notes[0].startswith("Both come from the same training run")


def test_the_verdict_names_the_better_one_only_where_chance_does_not_explain_it() -> None:
    names = [f"row{number}" for number in range(12)]
    right, wrong = dict.fromkeys(names, 1.0), dict.fromkeys(names, -1.0)
    assert verdict(compare(made(wrong), made(right, 2))) == (
        "Version 2 is better (of 12 rows only version 1 is right on 0, only version 2 on 12; "
        "exact McNemar test, p = 0.00049)."
    )
    assert verdict(compare(made(right), made(wrong, 2))).startswith("Version 1 is better")
    assert verdict(compare(made(right), made(wrong | dict.fromkeys(names[:8], 1.0), 2))).startswith("No difference")


def test_what_differs_is_told_with_both_values() -> None:
    assert differing({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": None}) == {"b": (2, 5), "c": (3, None)}


def test_the_arguments_stand_beside_the_gates_decision() -> None:
    manifest = {"arguments": {"beta": 0.1}, "fingerprint": "f"}
    place = "s3://b/run/serving/adapters/dpo/manifest.json"
    files = {"s3://b/run/gate/e": json.dumps(evaluation({"a": 1.0})), place: "{}"}
    version = replace(VERSION, metrics_uri="s3://b/run/gate/e")

    def read(uri: str) -> bytes | None:
        return files[uri].encode() if uri in files else None

    assert side(version, read, OPTIONS).arguments is None
    files[place] = json.dumps(manifest)
    assert (side(version, read, OPTIONS).arguments, side(version, read, OPTIONS).training) == ({"beta": 0.1}, "f")
    assert compare(side(version, read, OPTIONS), made({"a": 1.0})).arguments == {}
    files[place] = "{"
    with pytest.raises(UserError, match=f"{re.escape(place)}: not a manifest: the file: Invalid JSON"):
        side(version, read, OPTIONS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"margins": []}, "margins: List should have at least 1 item"),
        ({"after": {"rows": 0, "reward_accuracy": 0.5}}, "after.rows: "),
        ({"margins": [{"id": "a", "margin": "wide"}]}, "margins.0.margin: "),
    ],
)
def test_a_damaged_evaluation_is_named_by_its_field(change: dict, said: str) -> None:
    text = json.dumps(evaluation({"a": 1.0}) | change).encode()
    with pytest.raises(UserError, match="s3://b/run/gate/e: not an evaluation: ") as error:
        side(VERSION, lambda _: text, OPTIONS)
    assert said in str(error.value) and str(error.value).endswith("python pipeline.py models --local --group g")
    with pytest.raises(UserError, match="names no evaluation"):
        side(replace(VERSION, metrics_uri=None), lambda _: text, OPTIONS)


@pytest.mark.parametrize("second", [{"a": 5.0, "b": -500.0}, {"x": 0.0}], ids=["paired", "other rows, all ties"])
def test_any_two_evaluations_can_be_drawn(tmp_path: Path, second: dict[str, float]) -> None:
    comparison_plot.write(compare(made({"a": 1.0, "b": 0.0}), made(second, 2)), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 20_000


def printed(what: Any) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def test_both_are_compared_as_they_are_served_where_both_were_evaluated_so() -> None:
    found = compare(spoken(), spoken(2))
    served = spoken().evaluation.served
    assert found.form == "served" and found.first.evaluation.after == served.after
    assert found.first.margins == {row.id: row.margin for row in served.margins}
    assert "Both are compared in the form that is served." in found.notes
    text = printed(comparison_table.draw(found))
    assert "Held-out rows as served, before -> after training" in text
    assert re.search(r"rows that change sides +3 of 24 +3 of 24", text)


def test_the_canary_sets_accuracy_is_shown_where_one_of_both_was_judged_by_one() -> None:
    found = compare(spoken(canary={"rows": 8, "reward_accuracy": 0.75}), spoken(2))
    text = printed(comparison_table.draw(found))
    assert re.search(
        r"Canary set, which every run holds out\s+reward accuracy +0\.750 \[0\.\d+, 0\.\d+\] of 8 rows +-", text
    )
    assert "Canary" not in printed(comparison_table.draw(compare(spoken(), spoken(2))))


def test_otherwise_in_the_form_that_was_trained_and_why_is_said() -> None:
    older = made({f"row-{n}": 1.0 for n in range(24)})
    found = compare(older, spoken(2, served=judged.NOT_SERVED))
    assert found.form == "trained"
    assert (
        "Both are compared in the form that was trained: not evaluated as it is served is version 1 (an older version) "
        "and version 2 (evaluate_served: false)."
    ) in found.notes
    assert "Both are compared in the form that was trained: not evaluated as it is served is version 1" in " ".join(
        compare(older, spoken(2)).notes
    )
    same = {"evaluated": True, "same": True, "form": "the base", "reason": None}
    assert compare(spoken(1, served=same), spoken(2)).form == "served"


def test_the_answers_are_tested_on_the_prompts_that_both_answered() -> None:
    found = compare(spoken(), spoken(2, flip=True))
    assert (found.calls.rows, found.calls.first_only, found.calls.second_only) == (16, 14, 0)
    assert (found.form_of_answers.rows, found.form_of_answers.first_only) == (24, 12)
    calls, form = verdicts_on_answers(found)
    assert calls == (
        "Calls: Version 1 is better (of 16 prompts only version 1 is right on 14, only version 2 on 0; "
        "exact McNemar test, p = 0.00012)."
    )
    assert form.startswith("Form: Version 1 is better (of 24 prompts only version 1 is not degenerate on 12, ")
    text = printed(comparison_table.draw(found))
    assert re.search(r"calls right +0.000 -> 0.875 \[0.640, 0.965\] +0.000 -> 0.000", text)
    assert re.search(r"degenerate answers +0.500 -> 0.083", text) and calls in text


def test_why_answers_cannot_be_compared_is_said() -> None:
    older = made({"a": 1.0})
    said = [note for note in compare(older, spoken(2)).notes if note.startswith("What they say")]
    assert said == ["What they say cannot be compared: version 1 has no answers (an older version)."]
    silent = spoken(answers=judged.NOT_JUDGED)
    said = [note for note in compare(silent, replace(spoken(2), questions=())).notes if note.startswith("What they")]
    assert said == [
        "What they say cannot be compared: version 1 has no answers (evaluate_answers: 0) and "
        "version 2 has no answers (its file is gone)."
    ]
    assert not [note for note in compare(older, older).notes if "say" in note or "form" in note]
    assert "No prompt was answered by both versions." in printed(comparison_answers.draw(compare(older, silent), 3))


def test_answers_stand_side_by_side_those_first_on_which_the_second_got_worse() -> None:
    found = compare(spoken(), spoken(2, flip=True))
    good = [tuple(one.answers.candidate.good for one in pair) for pair in found.questions]
    assert good == sorted(good, key=[(True, False), (False, False), (False, True), (True, True)].index)
    text = printed(comparison_answers.draw(found, 2))
    assert "Answers, 2 of 24, the worst first" in text and text.count("Chosen answer") == 2
    assert "Version 1: right" in text and "Version 2: wrong decision" in text and "It rains." in text


def test_nothing_in_an_answer_reaches_the_terminal_as_a_command() -> None:
    evil = [row | {"chosen": "\x1b[31m[bold]red"} for row in judged.rows(3, hostile=True)]
    questions = tuple(read_answers("\n".join(map(json.dumps, evil)).encode(), "s3://b/answers.jsonl"))
    text = printed(comparison_answers.draw(compare(*(replace(spoken(n), questions=questions) for n in (1, 2))), 3))
    assert "\x1b" not in text and "[U+001B][31m[bold]red" in text and "\u202e" not in text


def test_a_damaged_line_of_answers_is_named() -> None:
    with pytest.raises(UserError, match=r"s3://b/answers.jsonl: line 2: not an answer: the line: Invalid JSON"):
        read_answers(json.dumps(judged.row(0)).encode() + b"\n{", "s3://b/answers.jsonl")
    with pytest.raises(UserError, match=r"line 1: not an answer: answers.candidate.right: Field required"):
        row = judged.row(0)
        del row["answers"]["candidate"]["right"]
        read_answers(json.dumps(row).encode(), "s3://b/answers.jsonl")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"served": {"evaluated": True, "reason": None}}, "served: Value error, before, after or margins are missing"),
        ({"answers": {"judged": True}}, "answers: Value error, before or after is missing"),
    ],
)
def test_a_section_that_is_not_whole_is_named(section: dict, said: str) -> None:
    text = json.dumps(evaluation({"a": 1.0}) | section).encode()
    with pytest.raises(UserError, match=said):
        side(VERSION, lambda _: text, OPTIONS)


def pictures() -> dict[str, Comparison]:
    no_calls = spoken(answers=judged.answers([row for row in judged.rows(24) if not row["tools"]]))
    no_kinds = judged.answers(judged.rows(24))
    no_kinds["after"]["calls"]["confusion"] = {"call": {"call": 0}}
    return {
        "both": compare(spoken(), spoken(2, flip=True)),
        "one has answers": compare(made({"row-1": 1.0, "row-2": -1.0}), spoken(2)),
        "one has calls": compare(no_calls, spoken(2)),
        "no kinds": compare(spoken(answers=no_kinds), spoken(2)),
    }


@pytest.mark.parametrize("kind", ["both", "one has answers", "one has calls", "no kinds"])
def test_answers_are_drawn_where_there_are_any(tmp_path: Path, kind: str) -> None:
    comparison_plot.write(pictures()[kind], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 20_000
