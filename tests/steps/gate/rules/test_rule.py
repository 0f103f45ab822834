"""How rules read an evaluation: what is missing or no number is named by its path."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from steps.gate.decision import decide
from steps.gate.rules.rule import QUOTED, number, quoted, value
from steps.shared.contract import StepError
from tests.steps.gate.evaluation import champion, evaluation, limits, paired, side


def leaves(section: object, path: str = "") -> list[str]:
    if isinstance(section, dict):
        return [path, *(leaf for key, inner in section.items() for leaf in leaves(inner, f"{path}.{key}".lstrip(".")))]
    return [path]


def whole() -> dict:
    against = {"calls": paired(9, 1, 40), "form": paired(1, 2, 61)}
    return evaluation(champion=champion(), answers__champion=side(20, 1), answers__against_champion=against)


@pytest.mark.parametrize(
    "path", [path for path in leaves({k: whole()[k] for k in ("served", "answers", "champion")}) if path]
)
def test_a_key_that_is_missing_inside_a_section_is_named_or_not_needed(path: str) -> None:
    changed = whole()
    *sections, last = path.split(".")
    place = changed
    for key in sections:
        place = place[key]
    del place[last]
    try:
        found = decide(changed, limits(max_chosen_drop=1.0), "")
    except StepError as error:
        assert str(error).startswith("evaluation.json: "), error
        assert path in str(error) and "is missing" in str(error)
    else:
        assert found["decision"] == "pass"


@pytest.mark.parametrize("path", [path for path in leaves(whole()) if path])
def test_whatever_stands_in_place_of_a_figure_is_judged_or_named(path: str) -> None:
    wrongs = (None, "x", math.nan, math.inf, True, [], {}, -1)
    for wrong, on in itertools.product(wrongs, ("accuracy", "lower_end")):
        changed = whole()
        *sections, last = path.split(".")
        place = changed
        for key in sections:
            place = place[key]
        place[last] = wrong
        try:
            found = decide(changed, limits(max_chosen_drop=1.0, threshold_on=on), "")
        except StepError as error:
            assert str(error).startswith("evaluation.json: ")
        else:
            json.dumps(found, allow_nan=False)


def test_a_missing_figure_of_a_rule_is_an_error_that_names_it() -> None:
    changed = whole()
    del changed["answers"]["against_base"]["calls"]["p_worse"]
    with pytest.raises(StepError, match=r"evaluation.json: answers.against_base.calls.p_worse is missing"):
        decide(changed, limits(), "")


@pytest.mark.parametrize("wrong", [None, "0.5", math.nan, math.inf, True, [1]])
def test_what_is_no_number_is_not_judged_by(wrong: object) -> None:
    with pytest.raises(StepError, match=r"a\.b is .*, which is no number that can be judged"):
        number({"a": {"b": wrong}}, "a.b")


def test_a_path_leads_through_sections_only() -> None:
    assert value({"a": {"b": 1}}, "a.b") == 1
    with pytest.raises(StepError, match=r"a\.b\.c is missing"):
        value({"a": {"b": 1}}, "a.b.c")


def test_a_reason_from_elsewhere_is_one_short_line() -> None:
    assert quoted(" of\n two lines. ") == "of two lines"
    assert len(quoted("x" * 5000)) == QUOTED and quoted("x" * 5000).endswith("…")
