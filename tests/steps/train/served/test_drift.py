"""How far two forms of a model are apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steps.train.evaluation.figures import RowMargin
from steps.train.served.drift import drift, untrained

ROW = RowMargin("a", -10.0, -12.0, -11.0, -11.0, 5, 4, "chat", False)


def test_the_differences_are_what_the_hand_computes() -> None:
    trained = [
        ROW,  # chosen ratio 1, margin 2
        replace(ROW, id="b", chosen=-11.5),  # chosen ratio -0.5, margin 0.5
        replace(ROW, id="c", chosen=-11.0, rejected=-11.0),  # a tie
        replace(ROW, id="d", chosen=-9.0, chosen_tokens=0),
    ]
    served = [
        replace(ROW, chosen=-10.5),  # ratio 0.5: half a nat over 5 tokens
        replace(ROW, id="b", chosen=-12.5),  # ratio -1.5, margin -0.5: changes sides
        replace(ROW, id="c", chosen=-10.9, rejected=-11.0),  # a tie no more
        replace(ROW, id="d", chosen=-9.0, chosen_tokens=0),
    ]
    found = drift(trained, served, 0.1)
    assert found["rows"] == 4 and found["rows_changed"] == 2 and found["share_changed"] == 0.5
    assert found["log_prob_per_token"] == pytest.approx((0.5 + 1.0 + 0.1) / 5 / 3)
    assert found["accuracy"] == pytest.approx(3 / 4 - 3.5 / 4)


def test_a_form_is_not_apart_from_itself() -> None:
    assert drift([ROW], [ROW], 0.1) == {
        "rows": 1, "accuracy": 0.0, "log_prob_per_token": 0.0, "rows_changed": 0, "share_changed": 0.0
    }  # fmt: skip
    without = replace(ROW, chosen_tokens=0)
    assert drift([without], [without], 0.1)["log_prob_per_token"] is None


def test_before_training_every_row_is_a_tie() -> None:
    assert [(row.margin, row.reference_chosen) for row in untrained([ROW])] == [(0.0, -11.0)]
