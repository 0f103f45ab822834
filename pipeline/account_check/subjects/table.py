"""The table of subjects, and how all their looks run: side by side, on one session; a refusal is a finding."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from json import JSONDecodeError
from pathlib import Path

from pipeline.account_check import side_by_side
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, unknown
from pipeline.account_check.subjects import (
    bucket,
    capture,
    data,
    deployed,
    identity,
    images,
    model,
    network,
    quotas,
    role,
    secrets,
    tracking,
)
from pipeline.aws.errors import code_and_message, is_denied, refusal, refused_action

SUBJECTS: Mapping[str, Callable[[Context], Iterable[Look]]] = {
    "identity": identity.looks,
    "role": role.looks,
    "bucket": bucket.looks,
    "images": images.looks,
    "model": model.looks,
    "data": data.looks,
    "secrets": secrets.looks,
    "tracking": tracking.looks,
    "quotas": quotas.looks,
    "network": network.looks,
    "pipeline": deployed.looks,
    "capture": capture.looks,
}
THREADS = 8
SECONDS = 45  # for all looks together; what has not answered by then was not looked at


@dataclass(frozen=True)
class Result:
    """
    Attributes:
        account: the settings' account, which the region is also of.
        caller: the ARN of the credentials.
        looks: how many things were looked at, by subject.
        findings: in the table's order.
    """

    account: str
    region: str
    caller: str
    looks: dict[str, int]
    findings: list[Finding]


def run(context: Context) -> Result:
    """Look at everything. AWS's errors about the credentials themselves leave it."""
    caller, refused = identity.caller(context)
    if refused:
        where = context.place("account", "account_id")
        findings = [replace(one, subject="identity", where=where) for one in refused]
        return Result(context.workflow.account.account_id, context.region, caller, {"identity": 1}, findings)
    looks = [(subject, look) for subject, of in SUBJECTS.items() for look in _looks(subject, of, context)]
    answers = side_by_side.run([partial(_found, look) for _, look in looks], THREADS, SECONDS)
    late = unknown(
        f"could not be looked at: no answer within {SECONDS} s", "try again; does it stay, look at it in the console"
    )
    findings = [
        replace(finding, subject=subject, where=finding.where or look.where)
        for (subject, look), found in zip(looks, answers, strict=True)
        for finding in ([late] if found is None else found)
    ]
    counts = {subject: sum(1 for name, _ in looks if name == subject) for subject in SUBJECTS}
    account = context.workflow.account.account_id
    return Result(account, context.region, caller, counts, list(dict.fromkeys(findings)))


def _looks(subject: str, of: Callable[[Context], Iterable[Look]], context: Context) -> list[Look]:
    """The looks of a subject; where it fails to name them all, one that finds that."""
    looks: list[Look] = []
    try:
        for look in of(context):
            looks.append(look)
    except Exception as problem:  # a fault of one subject must not hide what the others find
        failed = _failed(problem)
        looks.append(Look(f"the subject {subject}", (), lambda: [failed]))
    return looks


def _found(look: Look) -> list[Finding]:
    """What a look finds, and where AWS refuses it or does not answer, or it fails itself, that; raises nothing."""
    from botocore.exceptions import BotoCoreError, ClientError

    found: list[Finding] = []
    try:
        for finding in look.find():
            found.append(finding)
    except (BotoCoreError, ClientError, OSError, JSONDecodeError) as problem:
        found.append(_not_seen(look, problem))
    except Exception as problem:  # of any class: a fault of one look must not hide what the others find
        found.append(_failed(problem))
    return found


def _failed(problem: Exception) -> Finding:
    """Names the line of the look that raised something that nobody foresaw."""
    at = traceback.extract_tb(problem.__traceback__)[-1]
    what = f"{type(problem).__name__}: {problem} ({Path(at.filename).name} line {at.lineno}, {at.name})"
    return unknown(
        f"could not be looked at: the check itself failed with {what}",
        "look at it in the console, and report this line as a fault of check --account",
    )


def _not_seen(look: Look, problem: Exception) -> Finding:
    if is_denied(problem):
        needs = refused_action(problem) or " and ".join(look.actions)
        return unknown(f"could not be looked at: needs {needs}", refusal(problem))
    code, message = code_and_message(problem)
    address = getattr(problem, "url", None)  # of what was read over HTTP, without its signature
    said = f"{code}: {message}" if code else f"{address.partition('?')[0]}: {message}" if address else message
    return unknown(f"could not be looked at: {said}", "try again; does it stay, look at it in the console")
