"""What the workflow's endpoint keeps of requests and answers, where a run collects them. Finds notes, and a warning.

Looks at the endpoint that is named after the model package group, as `deploy` names it without --name.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, note, warning
from pipeline.aws.errors import described

ACTIONS = ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig")


def looks(context: Context) -> Iterator[Look]:
    if context.workflow.settings.collect:
        yield Look(context.place("workflow", "collect"), ACTIONS, lambda: _kept(context))


def _kept(context: Context) -> Iterator[Finding]:
    sagemaker, name = context.client("sagemaker"), context.workflow.settings.register_model.package_group
    endpoint = described(lambda: sagemaker.describe_endpoint(EndpointName=name))
    if endpoint is None:
        yield note(f"there is no endpoint {name} yet, so nothing is captured")
        return
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    kept = config.get("DataCaptureConfig") or {}
    place = kept.get("DestinationS3Uri", "")
    if not kept.get("EnableCapture"):
        yield warning(
            f"the endpoint {name} keeps nothing of requests and answers, and a run collects them",
            context.command("deploy VERSION --capture SHARE"),
        )
    elif not place.startswith(context.workflow.captures_uri):
        read = context.workflow.captures_uri
        yield warning(
            f"the endpoint {name} keeps requests and answers in {place}, and a run reads {read}",
            context.command("deploy VERSION --capture SHARE"),
        )
    else:
        yield note(
            f"the endpoint {name} keeps {kept['InitialSamplingPercentage']} % of requests and answers in {place}"
        )
