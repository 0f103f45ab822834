"""Which run of MLflow a training is, for the registered version: what its account (tracking.json) says of that.

A version's metadata take letters, digits, spaces and _.:/=+-@, at most 256 (CustomerMetadataValue): a value that does
not fit would be refused with the whole registration, so it is `none`. Of an SQLite file only the name is told: it is
the local run's own, and moves with it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from steps.shared import contract

ACCOUNT = "tracking.json"
NONE = "none"
SQLITE = "sqlite:///"
RUN_ID, URI = "mlflow_run_id", "mlflow_uri"
FITS = re.compile(r"[\w .:/=+\-@]{1,256}")


def of(adapter: Path) -> dict[str, str]:
    """`mlflow_run_id` and `mlflow_uri`; `none` where the training was not tracked there.

    Args:
        adapter: the folder that the Train step left.

    Raises:
        StepError: the account is not JSON.
    """
    account = contract.read_json(adapter / ACCOUNT, "the account of what trackers got") if _is_there(adapter) else {}
    told = account.get("mlflow") if isinstance(account, dict) else None
    if not isinstance(told, dict) or not told.get("run_id"):  # a tracker that was down all the time gave it none
        return {RUN_ID: NONE, URI: NONE}
    return {RUN_ID: _fitting(told["run_id"]), URI: _fitting(_place(told.get("uri")))}


def _is_there(adapter: Path) -> bool:
    return (adapter / ACCOUNT).is_file()


def _place(uri: Any) -> Any:
    is_file = isinstance(uri, str) and uri.startswith(SQLITE)
    return SQLITE + uri.rpartition("/")[2] if is_file else uri


def _fitting(value: Any) -> str:
    return value if isinstance(value, str) and FITS.fullmatch(value) else NONE
