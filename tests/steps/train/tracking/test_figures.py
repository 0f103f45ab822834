"""The names of figures in trackers: the product's, TRL's where there is none, and what is left out."""

from __future__ import annotations

from pathlib import Path

from steps.train.metrics import lines
from steps.train.tracking import figures
from tests.paths import ROOT

MANUAL = Path(ROOT / "steps" / "train" / "README.md").read_text()


def test_a_figure_has_one_name_and_one_that_nobody_knows_keeps_its_own() -> None:
    logs = {"rewards/accuracies": 0.5, "logps/chosen": -9.0, "train_loss": 0.6, "total_flos": 1.0, "new": 2.0}
    assert figures.named(logs) == {"reward_accuracy": 0.5, "logps/chosen": -9.0, "new": 2.0}


def test_the_manual_says_what_every_figure_under_another_name_than_the_products_is() -> None:
    for name, meaning in (figures.OF_TRL | figures.LEFT_OUT).items():
        assert f"| `{name}` | {meaning} |" in MANUAL
    assert not lines.NAMES.keys() & (figures.OF_TRL.keys() | figures.LEFT_OUT.keys())
