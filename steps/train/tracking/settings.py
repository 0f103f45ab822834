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
SQLITE = "sqlite:///"
SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
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
    if said := fault(uri):
        raise StepError(f"mlflow_uri: {said}")
    if uri.startswith("arn:") and importlib.util.find_spec("sagemaker_mlflow") is None:
        raise StepError(
            f"mlflow_uri: {uri}: an ARN needs the package sagemaker-mlflow; pip install sagemaker-mlflow, or "
            "add it to the training image (containers/training/requirements.txt)"
        )


def fault(uri: str) -> str | None:
    """Why no tracker can be spoken to by this address, or why it would tell a secret; None where it can be used.

    One rule for a training and for `check`. What may be a secret is not in the text.
    """
    if uri.startswith("arn:"):
        right = "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
        return None if ARN.fullmatch(uri) else f"{without_password(uri)}: is not the ARN of a tracking server, {right}"
    if uri.startswith(SQLITE):
        return None
    if not is_address(uri):
        return f"{without_password(uri)}: write sqlite:///FILE, http(s)://HOST or a tracking server's ARN"
    if "?" in uri or "#" in uri:
        return (
            f"{without_password(uri)}: leave out what stands behind ? or #: it would be read in every log; a password "
            "or token belongs in MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN (one in the address needs %3F and "
            "%23 instead)"
        )
    if _host(uri) is None:
        return "is not the address of a server: write http(s)://HOST or http(s)://HOST:PORT (a password needs %2F, %40)"
    return None


def _host(uri: str) -> str | None:
    """The server's name; None where the address is damaged, as by a password with a slash."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:  # a port that is no number, a bracket too many
        return None
    return None if "@" in parts.path else parts.hostname


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


def has_login(uri: str) -> bool:
    """Whether an address has a name, a password or a token before its host."""
    return is_address(uri) and "@" in urlsplit(uri).netloc


def without_password(uri: str) -> str:
    """An address as it may be shown: `https://user:password@host/path?token=…` loses what stands before the @ and from
    the question mark on. So does a damaged one, such as one without a scheme."""
    if uri.startswith(SQLITE):
        return uri
    scheme = SCHEME.match(uri)
    start = scheme.group() if scheme else ""
    return start + re.split(r"[?#]", uri.removeprefix(start).rpartition("@")[2])[0]
