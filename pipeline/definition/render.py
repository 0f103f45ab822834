"""Render a workflow's definition: imports the SageMaker SDK late, in part, and without letting it look for AWS.

The SDK makes boto3 clients while it is imported and when a pipeline is made; they want a region and ask the instance
metadata service for credentials. Both are settled here for that time; the caller's environment stays as it was.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.definition import sdk
from pipeline.settings.workflow import Workflow


def render(workflow: Workflow) -> str:
    """The definition as JSON text; the same settings give the same bytes."""
    # The SDK turns every library's notes on: configuration files that are not there, where credentials were found.
    for name in ("sagemaker", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with _environment(AWS_DEFAULT_REGION=workflow.account.region, AWS_EC2_METADATA_DISABLED="true"):
        with sdk.lightly():
            from pipeline.definition import build as definition

        return definition.render(workflow)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
