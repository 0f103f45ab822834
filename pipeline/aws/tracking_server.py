"""What SageMaker says of an MLflow tracking server or App: whether it registers models by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.aws.errors import described, translated
from pipeline.errors import UserError

APP = ":mlflow-app/"


def registers_itself(client: Callable[[str], Any], uri: str) -> str | None:
    """Why MLflow's model registry must not be written to; None where it may.

    With automatic model registration on, SageMaker makes a model package of each version there: a second one of what
    the pipeline has registered. Where that cannot be asked, it is taken for granted.

    Args:
        client: gives a client of a service.
        uri: MLflow's address, or the ARN of a server or App.
    """
    if not uri.startswith("arn:"):
        return None
    sagemaker, asked = client("sagemaker"), "DescribeMlflowApp" if APP in uri else "DescribeMlflowTrackingServer"
    try:
        with translated("python pipeline.py models --link"):
            on = _app(sagemaker, uri) if APP in uri else _server(sagemaker, uri)
    except UserError as error:
        return f"no version was made in its model registry, since sagemaker:{asked} does not answer ({error})"
    return "no version was made in its model registry: SageMaker would register it once more by itself" if on else None


def _app(sagemaker: Any, arn: str) -> bool:
    found = described(lambda: sagemaker.describe_mlflow_app(Arn=arn)) or {}
    return found.get("ModelRegistrationMode") == "AutoModelRegistrationEnabled"


def _server(sagemaker: Any, arn: str) -> bool:
    name = arn.rpartition("/")[2]
    found = described(lambda: sagemaker.describe_mlflow_tracking_server(TrackingServerName=name)) or {}
    return bool(found.get("AutomaticModelRegistration"))
