"""Whether a version that is registered already is the one that would be registered now.

An execution whose steps all come from the cache ends with the same files and figures as the execution that made them: a
second version of them would be one more to judge, and tell nothing. Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.shared.served_files import OF_APPROVAL

PENDING = "PendingManualApproval"
EXECUTION = "execution_arn"  # of the metadata: which execution registered the version
TRACKED = ("mlflow_run_id", "mlflow_uri")  # which run of a tracker its training was
APART = {EXECUTION, OF_APPROVAL, *TRACKED}  # of the metadata, what a repeat may differ in


def is_repeat(package: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """
    Args:
        package: a version, as DescribeModelPackage answers.
        request: of CreateModelPackage.

    Returns:
        Whether the version serves the same files and has the same facts and figures, by whichever execution, and its
        status is the wanted one, or was since decided upon by a person. False of a version that cannot be read.
    """
    wanted = request.get("ModelApprovalStatus", PENDING)
    try:
        return (
            _facts(package) == _facts(request)
            and _served(package) == _served(request)
            and wanted in (PENDING, package.get("ModelApprovalStatus"))
        )
    except (LookupError, TypeError, AttributeError):
        return False


def _facts(version: Mapping[str, Any]) -> dict[str, str]:
    """Raises LookupError where there are none: two versions without any are not known to be one."""
    return {name: value for name, value in version["CustomerMetadataProperties"].items() if name not in APART}


def _served(version: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Image and place of the model of each container; raises LookupError where there is none."""
    containers = version["InferenceSpecification"]["Containers"]
    return [(one["Image"], one["ModelDataSource"]["S3DataSource"]["S3Uri"]) for one in containers]
