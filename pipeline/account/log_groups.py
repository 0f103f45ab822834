"""How long CloudWatch keeps what jobs log.

SageMaker makes these groups with the first job of its kind, and they belong to the whole account: other projects' jobs
write to them too. So they are no part of the stack, which could neither make one that is there nor share it with
another stack. A group that is not there is made; a time that somebody has set stays.
"""

from __future__ import annotations

from typing import Any

GROUPS = ("/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs")


def without_retention(logs: Any) -> dict[str, bool]:
    """The groups of the jobs that are kept for ever, or are not there yet: name -> whether it is there."""
    found: dict[str, bool] = {}
    for name in GROUPS:
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        there = [one for page in pages for one in page["logGroups"] if one["logGroupName"] == name]
        if not there or "retentionInDays" not in there[0]:
            found[name] = bool(there)
    return found


def keep_for(logs: Any, groups: dict[str, bool], days: int) -> None:
    """Make these groups where they are not there, and let CloudWatch delete what is older."""
    for name, there in groups.items():
        if not there:
            logs.create_log_group(logGroupName=name)
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
