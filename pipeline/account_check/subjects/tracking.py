"""The MLflow tracking server or App that the recipe names by its ARN: is it there, and does it run.

Only warnings: a training goes on without its server. An address is not asked: it may be reachable from the jobs alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, warning
from pipeline.aws.errors import described

APP = ":mlflow-app/"


def looks(context: Context) -> Iterator[Look]:
    uri = context.workflow.recipe.mlflow_uri or ""
    if uri.startswith("arn:"):
        action = "sagemaker:DescribeMlflowApp" if APP in uri else "sagemaker:DescribeMlflowTrackingServer"
        yield Look(context.place("recipe", "mlflow_uri"), (action,), lambda: _tracking(context, uri))


def _tracking(context: Context, uri: str) -> Iterator[Finding]:
    region, name = uri.split(":")[3], uri.rpartition("/")[2]
    sagemaker = context.client("sagemaker", region)
    go_on = "the training goes on and tracks nothing"
    if APP in uri:
        app = described(lambda: sagemaker.describe_mlflow_app(Arn=uri))
        status = app["Status"] if app else None
        running, start = status in ("Created", "Updated", "Updating", "UpdateFailed"), "SageMaker Studio > MLflow"
    else:
        server = described(lambda: sagemaker.describe_mlflow_tracking_server(TrackingServerName=name))
        status = server["TrackingServerStatus"] if server else None
        running = server is not None and server.get("IsActive") == "Active"
        start = f"aws sagemaker start-mlflow-tracking-server --tracking-server-name {name} --region {region}"
    if status is None:
        yield warning(f"there is no {uri}: {go_on}", "fix mlflow_uri, or leave it out")
    elif not running:
        yield warning(f"{uri} does not run ({status}): {go_on}", start)
