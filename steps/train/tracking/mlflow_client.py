"""The client of an MLflow server, as everything here that speaks to one opens it."""

from __future__ import annotations

import logging
import os
from typing import Any

REQUEST_SECONDS = 10  # whoever asks tries again itself, so that a request need not wait long


def connect(uri: str, login: tuple[str, str] | None = None) -> Any:
    """An MlflowClient; MLflow's own settings in the environment are set for the whole process.

    Args:
        uri: without a password.
        login: user and password; otherwise those of the environment, if any.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_SECONDS))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    if login:  # not in the address, which stands in every error of the client
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = login
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    if uri.startswith("arn:"):
        mlflow.set_tracking_uri(uri)  # sagemaker-mlflow signs for this one, not for the client's own
    else:  # where sagemaker-mlflow is installed, every request to another server would log its "unexpected error"
        logging.getLogger("mlflow.tracking.request_header.registry").setLevel(logging.ERROR)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
