"""A workflow in the account of moto's server, and what leads a process or a client there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import boto3

from tests.conftest import ROOT

ACCOUNT = "123456789012"  # moto's
BUCKET = f"dpo-pipeline-{ACCOUNT}"


def write_settings(folder: Path) -> Path:
    """The quickstart's settings in moto's account, with a model that needs no making."""
    (folder / "recipes").mkdir()
    account = (ROOT / "configs" / "account.yaml").read_text().replace("111122223333", ACCOUNT)
    (folder / "account.yaml").write_text(account)
    recipe = (ROOT / "configs" / "recipes" / "quickstart.yaml").read_text()
    recipe = re.sub(r"model_id: .*", f"model_id: s3://{BUCKET}/models/tiny/", recipe)
    (folder / "recipes" / "quickstart.yaml").write_text(recipe)
    workflow = (ROOT / "configs" / "quickstart.yaml").read_text()
    workflow = re.sub(r"make_model: .*\n", "", workflow)
    workflow = workflow.replace("../steps/quickstart", str(ROOT / "steps" / "quickstart"))
    (folder / "quickstart.yaml").write_text(workflow)
    return folder / "quickstart.yaml"


def client(endpoint: str, service: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=endpoint, **keys)


def access(endpoint: str, home: Path) -> dict[str, str]:
    """The variables that lead a process to the server, and to no one's own configuration."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(home),
    }
