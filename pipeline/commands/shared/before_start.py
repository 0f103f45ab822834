"""What `start` looks at on AWS before it starts anything: is the pipeline the settings' own, and is its input there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.aws.objects import input_problems, no_bucket
from pipeline.commands.shared.on_aws import Remote
from pipeline.commands.shared.options import say, stderr
from pipeline.definition.diff import compare, counted
from pipeline.errors import UserError, problems_error
from pipeline.parameters.values import resolve_parameters
from pipeline.preflight.inputs import FOLDERS
from pipeline.settings.assets import Asset
from pipeline.watching import pulse


def require_deployed(there: Remote, deployed: Mapping[str, Any], command: str) -> None:
    """
    Args:
        deployed: the definition that AWS would run.
        command: the start that was asked for.

    Raises:
        UserError: the settings, the recipe or the code have changed since the last upsert.
    """
    from pipeline.definition.kept import rendered

    with pulse.working(stderr, "comparing the settings with what is deployed"):
        changes = compare(deployed, json.loads(rendered(there.workflow)))
    if changes:
        several = "changes are" if len(changes) > 1 else "change is"
        raise UserError(
            f"pipeline {there.name}: {len(changes)} {several} not deployed ({counted(changes)}); upsert first: "
            f"python pipeline.py upsert{there.options}; or run what is deployed: {command} --deployed"
        )


def require_inputs(
    there: Remote, definition: dict[str, Any], overrides: Mapping[str, str], assets: Sequence[Asset]
) -> None:
    """
    Args:
        assets: what is uploaded before the start, and need not be there.

    Raises:
        UserError: a bucket, data, a model or an adapter that the execution reads is not there.
    """
    values, ours = resolve_parameters(definition, dict(overrides)), {asset.uri for asset in assets}
    uris = {name: str(values[name]) for name in FOLDERS if name in values and str(values[name]).startswith("s3://")}
    read = {name: uri for name, uri in uris.items() if uri not in ours}
    if problems := input_problems(there.client("s3"), read, say):
        fix = "Upload it, or name another place with --set Name=Value."
        if any(problem.endswith(no_bucket(there.workflow.account.bucket)) for problem in problems):
            fix = f"Make the settings' bucket: python pipeline.py bootstrap{there.options}"
        raise problems_error("parameters", problems, fix)
