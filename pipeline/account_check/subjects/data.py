"""The data and the adapter that an execution with the settings' own parameters reads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, unknown
from pipeline.aws.objects import input_problems

# parameter -> the setting that it has its default from
SETTINGS = {
    "InputDataUri": "data",
    "ValidationDataUri": "preprocess.validation_data",
    "InitialAdapterUri": "train.initial_adapter",
}


def looks(context: Context) -> Iterator[Look]:
    """One for each that is not uploaded from this machine."""
    ours = {asset.uri for asset in context.workflow.assets}
    for name, setting in SETTINGS.items():
        uri = str(context.values.get(name, ""))
        if uri.startswith("s3://") and uri not in ours:
            where = context.place("workflow", setting)
            yield Look(where, ("s3:ListBucket",), partial(_present, context, name, uri))


def _present(context: Context, name: str, uri: str) -> Iterator[Finding]:
    refused: list[str] = []
    for problem in input_problems(context.client("s3"), {name: uri}, refused.append):
        yield error(
            problem.removesuffix("; upload it there, or name another place"),
            f"upload it: aws s3 cp FILE {uri}, or name another place",
        )
    for text in refused:
        yield unknown(f"could not be looked at: needs s3:ListBucket ({text})", "allow it in an IAM policy of your own")
