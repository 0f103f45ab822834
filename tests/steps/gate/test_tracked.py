"""Which run of MLflow a version's metadata name: only what the registry takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.gate import tracked
from steps.shared.contract import StepError

NONE = {"mlflow_run_id": "none", "mlflow_uri": "none"}
RUN = "bda34bc65f414384867ca84ebb02aa34"
TAKEN = re.compile(r"[\w .:/=+\-@]{1,256}")  # CustomerMetadataValue


def of(folder: Path, account: Any) -> dict[str, str]:
    (folder / "tracking.json").write_text(json.dumps(account))
    return tracked.of(folder)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("http://mlflow.test:5000", "http://mlflow.test:5000"),
        ("arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/t",) * 2,
        ("sqlite:////home/o'brien/a%20b/.local/mlflow.db", "sqlite:///mlflow.db"),
        ("https://host/a~b", "none"),
        ("https://host/" + "a" * 256, "none"),
        (None, "none"),
    ],
)
def test_the_run_is_named_as_far_as_the_registry_takes_it(tmp_path: Path, uri: str | None, told: str) -> None:
    assert of(tmp_path, {"mlflow": {"run_id": RUN, "uri": uri}}) == {"mlflow_run_id": RUN, "mlflow_uri": told}


def test_a_training_that_was_not_tracked_in_mlflow_names_none(tmp_path: Path) -> None:
    assert tracked.of(tmp_path) == NONE
    for account in (
        {},
        [],
        {"wandb": {"run_id": "x"}},
        {"mlflow": None},
        {"mlflow": {"run_id": None, "uri": "http://h"}},
    ):
        assert of(tmp_path, account) == NONE
    (tmp_path / "tracking.json").write_text("{")
    with pytest.raises(StepError, match=r"tracking\.json"):
        tracked.of(tmp_path)


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_account_makes_a_registration_fail(tmp_path_factory: pytest.TempPathFactory, run: str, uri: str) -> None:
    found = of(tmp_path_factory.mktemp("run"), {"mlflow": {"run_id": run, "uri": uri}})
    assert all(TAKEN.fullmatch(value) for value in found.values())
