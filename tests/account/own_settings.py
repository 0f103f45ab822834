"""The quickstart under a name and a prefix of its own, on small CPU instances: the settings of one account test."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UserError
from tests.paths import ROOT

ACCOUNT = ROOT / "configs" / "account.yaml"
EXAMPLE_ACCOUNT = "111122223333"
PREFIX = "account-test"  # of all objects; the test's policy may delete below it, and nothing else
_ROLE = re.compile(r":role/(?:.*/)?([a-z][a-z0-9-]{1,19})-pipeline-execution$")


def account_of(path: Path) -> dict[str, Any]:
    """
    Raises:
        UserError: it is the example account, which nobody has.
    """
    account = yaml.safe_load(path.read_text(encoding="utf-8"))
    if account["account_id"] == EXAMPLE_ACCOUNT:
        raise UserError(f"{path}: still names the example account {EXAMPLE_ACCOUNT}; write your own values there")
    return account


def new_name(account: dict[str, Any]) -> str:
    """A name that nothing has yet, and that starts as the stack's names do: the roles are allowed no others."""
    stack = _ROLE.search(account["role_arn"])
    moment = datetime.now(UTC).strftime("%m%d%H%M")
    return f"{stack[1] if stack else 'dpo'}-account-test-{moment}-{secrets.token_hex(2)}"


def write(folder: Path, name: str, account_file: Path) -> tuple[Path, Path]:
    """Settings that register with a step, and the same with a job."""
    account = account_of(account_file)
    if account.get("prices"):
        account["prices"] = str((account_file.parent / account["prices"]).resolve())
    account["prefix"] = f"{PREFIX}/{name}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "account.yaml").write_text(yaml.safe_dump(account), encoding="utf-8")
    return _write(folder, name, "step"), _write(folder, name, "job")


def _write(folder: Path, name: str, register_with: str) -> Path:
    small = {"instance_type": "ml.m5.large", "max_runtime_hours": 0.25}
    workflow = {
        "pipeline_name": name,
        "description": "made by `make account-test`, which deletes it",
        "account": "account.yaml",
        "recipe": str(ROOT / "configs" / "recipes" / "quickstart.yaml"),
        "data": str(ROOT / "steps" / "quickstart" / "preferences.jsonl"),
        "make_model": "steps.quickstart.tiny_model",
        "preprocess": small,
        "train": {"instance_type": "ml.m5.xlarge", "processes_per_node": 2, "volume_gb": 30, "max_runtime_hours": 0.5},
        "gate": small | {"reward_accuracy_threshold": 0.55},
        "merge": small | {"volume_gb": 30},
        "register": {"package_group": name, "register_with": register_with, "instance_type": "ml.m5.large"},
    }
    path = folder / f"{register_with}.yaml"
    path.write_text(yaml.safe_dump(workflow, sort_keys=False), encoding="utf-8")
    return path
