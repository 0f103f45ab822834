"""What a recipe says of its trackers: whether they can be spoken to at all, and what of it may be shown.

A password in an address goes to its server and nowhere else: what is written, logged or told to a tracker has the
arguments as `shown` gives them. `check` comes before any weight is loaded; whether a server answers is not asked, since
one that is down stops no training. Imports neither mlflow nor wandb nor torch.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments

NO_MLFLOW = "none"
ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^:]+:\d{12}:mlflow-(tracking-server|app)/.+")


def with_default(arguments: TrainArguments, environment: Mapping[str, str]) -> TrainArguments:
    """The arguments with the MLflow that is meant: the named one, or the environment's; `none` is no MLflow at all.

    SageMaker's MlflowConfig and a run on this machine (pipeline/local) say it by MLFLOW_TRACKING_URI.
    """
    named = arguments.mlflow_uri or environment.get("MLFLOW_TRACKING_URI") or NO_MLFLOW
    return arguments.model_copy(update={"mlflow_uri": None if named == NO_MLFLOW else named})


def check(arguments: TrainArguments) -> None:
    """
    Raises:
        StepError: a tracker is asked for that this machine cannot speak to whatever happens.
    """
    uri = arguments.mlflow_uri
    wanted = [("mlflow", "mlflow_uri", uri), ("wandb", "wandb_project", arguments.wandb_project)]
    for package, argument, value in wanted:
        if value and importlib.util.find_spec(package) is None:
            raise StepError(
                f"{argument}: the package {package} is not installed; pip install {package}, or leave it out"
            )
    if not uri:
        return
    if uri.startswith("arn:"):
        if not ARN.fullmatch(uri):
            raise StepError(
                f"mlflow_uri: {uri}: is not the ARN of a tracking server, "
                "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
            )
        if importlib.util.find_spec("sagemaker_mlflow") is None:
            raise StepError(
                f"mlflow_uri: {uri}: an ARN needs the package sagemaker-mlflow; pip install sagemaker-mlflow, or "
                "add it to the training image (containers/training/requirements.txt)"
            )
    elif not uri.startswith("sqlite:///") and not is_address(uri):
        raise StepError(
            f"mlflow_uri: {without_password(uri)}: write sqlite:///FILE, http(s)://HOST or a tracking server's ARN"
        )


def shown(arguments: TrainArguments) -> dict[str, Any]:
    """The arguments as plain data that anyone may see."""
    given = arguments.model_dump(mode="json")
    return given | {"mlflow_uri": without_password(arguments.mlflow_uri) if arguments.mlflow_uri else None}


def is_address(uri: str) -> bool:
    """Whether it names a server by its address, which may ask for a name and a password."""
    return uri.startswith(("http://", "https://"))


def login(uri: str) -> tuple[str, str] | None:
    """User and password of an address; None where it holds no password."""
    parts = urlsplit(uri)
    if parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password)


def without_password(uri: str) -> str:
    """An address as it may be shown: `https://user:password@host` loses what stands before the @."""
    host = urlsplit(uri).netloc
    return uri.replace(host, host.rpartition("@")[2], 1) if "@" in host else uri
