"""What an execution's roles must be allowed, on the ARNs of this workflow.

The actions are those of the roles' policies in `configs/infrastructure.yaml`, which a test compares with the calls that
the code makes: there is no second list of them. `resources.py` says on which resources of a workflow a statement of
these policies is needed, and whether at all. Limits: says nothing of a bucket's, a key's or an organization's policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pipeline.account import template
from pipeline.account_check.context import Context
from pipeline.account_check.resources import EXAMPLE, RESOURCES, Job, elsewhere, judges
from pipeline.settings.account import RoleName

# The template's role -> what the settings call it; the first is `role_arn`, and is the pipeline's.
ROLES: dict[str, RoleName | None] = {
    "ExecutionRole": None,
    "ChampionRole": "champion",
    "PreprocessRole": "preprocess",
    "TrainRole": "train",
    "GateRole": "gate",
    "MergeRole": "merge",
    "RegisterRole": "register_job",
    "ServeRole": "serve",
}
# An execution goes on without them; so it does without all of the endpoints' role.
NOT_FATAL = ("Logs", "Metrics", "Tracking", "TrackingApp")
_KINDS = {"StringEquals": "string", "Bool": "boolean"}

ContextKey = tuple[str, str, str]  # key, type, value


@dataclass(frozen=True)
class Need:
    """Actions that a role must be allowed on one resource.

    Attributes:
        role: the role's ARN.
        setting: the key of the account's file that names it.
        keys: what stands in the request's context where a statement of the template asks for it.
        fatal: an execution fails without them.
        option: what `bootstrap` is told so that the stack allows them.
    """

    role: str
    setting: str
    resource: str
    actions: tuple[str, ...]
    keys: tuple[ContextKey, ...] = ()
    fatal: bool = True
    option: str = ""

    @property
    def pattern(self) -> str:
        """What a policy statement should name: Pipelines gives every job a name of its own."""
        return self.resource.replace(f"-job/{EXAMPLE}", "-job/pipelines-*").replace(EXAMPLE, "*")


def of(context: Context) -> list[Need]:
    """All needs of a workflow's execution, the actions of one role on one resource together."""
    single: dict[tuple[str, str, tuple[ContextKey, ...], str], Need] = {}
    for need in _single(context):
        key = (need.role, need.resource, need.keys, need.actions[0])
        if key not in single or need.fatal:  # one role may be that of several jobs
            single[key] = need
    together: dict[Need, list[str]] = {}
    for need in single.values():
        together.setdefault(replace(need, actions=()), []).extend(need.actions)
    return [replace(need, actions=tuple(actions)) for need, actions in together.items()]


def _single(context: Context) -> Iterator[Need]:
    """The needs of each job of its own, for one action each."""
    for owner, job in ROLES.items():
        if job == "register_job" and context.workflow.settings.register_model.register_with != "job":
            continue
        arn, setting = role(context, job)
        for statement in statements(owner):
            sid = statement["Sid"]
            fatal = sid not in NOT_FATAL and job != "serve"
            for keys in _contexts(context, statement):
                for action in template.listed(statement["Action"]):
                    for resource in RESOURCES[sid](context, job, action):
                        yield Need(arn, setting, resource, (action,), keys, fatal, _option(context, sid))


def role(context: Context, job: Job) -> tuple[str, str]:
    """The ARN of a job's role, and the setting that names it."""
    account = context.workflow.account
    if job is None or getattr(account.roles, job) is None:
        return account.role_arn, "role_arn"
    return account.role_of(job), f"roles.{job}"


def unnamed(context: Context) -> list[RoleName]:
    """The jobs that run as the pipeline's role, since the account's file names none for them."""
    account, by_job = context.workflow.account, context.workflow.settings.register_model.register_with == "job"
    jobs = [job for job in ROLES.values() if job is not None and getattr(account.roles, job) is None]
    return [job for job in jobs if job != "register_job" or by_job]


def roles(context: Context) -> dict[str, str]:
    """The ARN of each role that the settings name, with the first setting that names it."""
    found: dict[str, str] = {}
    for job in ROLES.values():
        arn, setting = role(context, job)
        found.setdefault(arn, setting)
    return found


def of_key(context: Context, key_arn: str) -> list[Need]:
    """What each role needs for reading and writing where a KMS key of one's own encrypts."""
    actions = next(tuple(template.listed(one["Action"])) for one in statements("ExecutionRole") if one["Sid"] == "Key")
    return [
        Need(arn, setting, key_arn, actions, fatal=setting != "roles.serve") for arn, setting in roles(context).items()
    ]


@cache
def statements(owner: str) -> tuple[dict[str, Any], ...]:
    """What the template's policies allow one of its roles; not to be changed."""
    return tuple(
        statement
        for _, document in template.of_role(_template_resources(), owner)
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
    )


@cache
def _template_resources() -> dict[str, Any]:
    resources: dict[str, Any] = template.read()["Resources"]
    return resources


def _option(context: Context, sid: str) -> str:
    """What the stack must be told to allow a statement's actions, where it does not by itself."""
    if sid == "Registers" and context.workflow.settings.register_model.allow_approved:
        return " --set AllowApproved=true"
    if sid == "Judge":
        return f" --set 'JudgeArns={','.join(judges(context, region='*'))}'"
    if sid == "Elsewhere":
        buckets = dict.fromkeys(context.of_bucket(bucket) for bucket, _ in elsewhere(context))
        return f" --set 'ReadArns={','.join(f'{one},{one}/*' for one in buckets)}'"  # it replaces what stands there
    return ""


def _contexts(context: Context, statement: Mapping[str, Any]) -> Iterator[tuple[ContextKey, ...]]:
    """The request contexts to try a statement with: one for each value that its condition allows."""
    condition = statement.get("Condition", {})
    if not condition:
        yield ()
    elif statement["Sid"] == "Registers":
        for status in context.workflow.settings.register_model.approval_statuses:
            yield (("sagemaker:ModelApprovalStatus", "string", status),)
    else:
        for operator, keys in condition.items():
            for key, values in keys.items():
                for value in template.listed(values):
                    yield ((key, _KINDS[operator], value),)
