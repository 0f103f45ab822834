"""What an execution's role must be allowed, on the ARNs of this workflow.

The actions are those of the roles' policies in `configs/infrastructure.yaml`, which a test compares with the calls that
the code makes: there is no second list of them. This file says on which resources of a workflow a statement of these
policies is needed, and whether at all. Limits: says nothing of a bucket's, a key's or an organization's policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.account import template
from pipeline.account.images import ECR, repository
from pipeline.account_check.context import Context
from pipeline.preflight.inputs import FOLDERS
from pipeline.settings.security import SecretArn
from steps.shared import secrets

EXAMPLE = "pipelines-account-check"  # a job's name: Pipelines begins all of them so
ROLES = ("ExecutionRole", "ExecutionRoleKey", "ExecutionRoleNetwork")
ANYTHING = "*"  # IAM knows no resource for these actions
# A job goes on without them.
NOT_FATAL = ("Logs", "Metrics", "Tracking", "TrackingApp")
_KINDS = {"StringEquals": "string", "Bool": "boolean"}

ContextKey = tuple[str, str, str]  # key, type, value
Resources = Callable[[Context, str], list[str]]  # of a workflow, for an action; none where it is not needed


@dataclass(frozen=True)
class Need:
    """Actions that must be allowed on one resource.

    Attributes:
        keys: what stands in the request's context where a statement of the template asks for it.
        fatal: an execution fails without them.
    """

    resource: str
    actions: tuple[str, ...]
    keys: tuple[ContextKey, ...] = ()
    fatal: bool = True

    @property
    def pattern(self) -> str:
        """What a policy statement should name: Pipelines gives every job a name of its own."""
        head, example, _ = self.resource.partition(EXAMPLE)
        return f"{head}{'pipelines-' if example and head.endswith('-job/') else ''}{'*' if example else ''}"


def of(context: Context) -> list[Need]:
    """All needs of a workflow's execution, the actions on one resource together."""
    found: dict[tuple[str, tuple[ContextKey, ...], bool], dict[str, None]] = {}
    for (_, sid), statement in statements().items():
        for keys in _contexts(statement):
            for action in template.listed(statement["Action"]):
                for resource in RESOURCES[_, sid](context, action):
                    found.setdefault((resource, keys, sid not in NOT_FATAL), {})[action] = None
    return [Need(resource, tuple(actions), keys, fatal) for (resource, keys, fatal), actions in found.items()]


def of_key(key_arn: str) -> Need:
    """What reading and writing needs where a KMS key of one's own encrypts."""
    statement = statements()["ExecutionRoleKey", "Key"]
    return Need(key_arn, tuple(template.listed(statement["Action"])))


@cache
def statements() -> dict[tuple[str, str], dict[str, Any]]:
    """The statements of the jobs' role in the template, by the resource that they stand in and their Sid; not to be
    changed."""
    return {
        (name, statement["Sid"]): statement
        for name, document in template.policies(template.read()["Resources"])
        if name in ROLES
        for statement in document["Statement"]
        if "Resource" in statement
    }


def _contexts(statement: Mapping[str, Any]) -> Iterator[tuple[ContextKey, ...]]:
    """The request contexts to try a statement with: one for each value that its condition allows."""
    condition = statement.get("Condition", {})
    if not condition:
        yield ()
    for operator, keys in condition.items():
        for key, values in keys.items():
            for value in template.listed(values):
                yield ((key, _KINDS[operator], value),)


def _jobs(context: Context, action: str) -> list[str]:
    kinds = [kind for kind in ("processing", "training") if kind in action.lower()] or ["processing", "training"]
    return [context.arn("sagemaker", f"{kind}-job/{EXAMPLE}") for kind in kinds]


def _versions(context: Context, action: str) -> list[str]:
    name = context.workflow.settings.register_model.package_group
    group, version = (
        context.arn("sagemaker", f"model-package-group/{name}"),
        context.arn("sagemaker", f"model-package/{name}/1"),
    )
    if action.endswith(("Group", "ListModelPackages")):
        return [group]
    return [version] if action.endswith("ModelPackage") else [group, version]


def _role(context: Context, action: str) -> list[str]:
    return [context.workflow.account.role_arn]


def _read(context: Context) -> dict[str, str]:
    """Bucket -> key or prefix, of what is read and lies in a bucket other than the account's."""
    account, uris = context.workflow.account, [str(context.values.get(name, "")) for name in FOLDERS]
    places = [uri.removeprefix("s3://").partition("/") for uri in uris if uri.startswith("s3://")]
    return {bucket: key for bucket, _, key in places if bucket != account.bucket}


def _objects(context: Context, action: str) -> list[str]:
    account = context.workflow.account
    own = [context.of_bucket(f"{account.bucket}/{account.prefix}/{EXAMPLE}")]
    if action != "s3:GetObject":
        return own
    others = (
        (bucket, key + EXAMPLE if key.endswith("/") or not key else key) for bucket, key in _read(context).items()
    )
    return [*own, *(context.of_bucket(f"{bucket}/{key}") for bucket, key in others)]


def _listing(context: Context, action: str) -> list[str]:
    others = _read(context) if action == "s3:ListBucket" else ()
    return [context.of_bucket(name) for name in (context.workflow.account.bucket, *others)]


def images(context: Context) -> dict[str, str]:
    """The images that the workflow's jobs and endpoints use, by their names in the settings."""
    given = context.workflow.account.images.model_dump(exclude_none=True)
    on_spark = context.workflow.settings.preprocess.engine == "spark"
    return {name: uri for name, uri in given.items() if name != "spark" or on_spark}


def _images(context: Context, action: str) -> list[str]:
    places = [repository(uri).partition("/") for uri in images(context).values()]
    found = [(ECR.fullmatch(registry), name) for registry, _, name in places]
    partition = context.workflow.account.role_arn.split(":")[1]
    return [
        f"arn:{partition}:ecr:{match['region']}:{match['account']}:repository/{name}" for match, name in found if match
    ]


def _anything(context: Context, action: str) -> list[str]:
    return [ANYTHING]


def _logs(context: Context, action: str) -> list[str]:
    stream = "" if action.endswith(("LogGroup", "LogStreams")) else f":log-stream:{EXAMPLE}"
    groups = ("ProcessingJobs", "TrainingJobs")
    return [context.arn("logs", f"log-group:/aws/sagemaker/{group}{stream}") for group in groups]


def secrets_of(context: Context) -> dict[str, SecretArn]:
    """Variable -> the secret that its value is kept in, of those that this workflow's jobs read."""
    found: dict[str, SecretArn] = {}
    for step in context.document.all_steps:
        for name, value in (step.arguments.get("Environment") or {}).items():
            if name.endswith(secrets.SUFFIX):
                found[name.removesuffix(secrets.SUFFIX)] = value
    return found


def _secrets(context: Context, action: str) -> list[str]:
    return sorted({place.partition("#")[0] for place in secrets_of(context).values()})


def _tracking(context: Context, action: str) -> list[str]:
    uri = context.workflow.recipe.mlflow_uri or ""
    return [uri] if uri.startswith("arn:") else []


def _tracking_app(context: Context, action: str) -> list[str]:
    return [uri for uri in _tracking(context, action) if ":mlflow-app/" in uri]


def keys(context: Context) -> dict[str, str]:
    """Setting -> the ARN of its KMS key."""
    security = context.workflow.account.security
    given = {"volume_kms_key": security.volume_kms_key, "output_kms_key": security.output_kms_key}
    return {
        name: key if key.startswith("arn:") else context.arn("kms", f"key/{key}") for name, key in given.items() if key
    }


def _keys(context: Context, action: str) -> list[str]:
    return sorted(set(keys(context).values()))


def _network(context: Context, action: str) -> list[str]:
    return [ANYTHING] if context.workflow.account.security.subnets else []


def _interfaces(context: Context, action: str) -> list[str]:
    security = context.workflow.account.security
    if not security.subnets:
        return []
    found = [context.arn("ec2", f"network-interface/{EXAMPLE}")]
    if action == "ec2:CreateNetworkInterface":
        found += [context.arn("ec2", f"subnet/{name}") for name in security.subnets]
        found += [context.arn("ec2", f"security-group/{name}") for name in security.security_groups]
    return found


RESOURCES: dict[tuple[str, str], Resources] = {
    ("ExecutionRole", "Jobs"): _jobs,
    ("ExecutionRole", "Versions"): _versions,
    ("ExecutionRole", "HandItselfToJobs"): _role,
    ("ExecutionRole", "Objects"): _objects,
    ("ExecutionRole", "Listing"): _listing,
    ("ExecutionRole", "Images"): _images,
    ("ExecutionRole", "NoResourceToName"): _anything,
    ("ExecutionRole", "Metrics"): _anything,
    ("ExecutionRole", "Logs"): _logs,
    ("ExecutionRole", "Secrets"): _secrets,
    ("ExecutionRole", "Tracking"): _tracking,
    ("ExecutionRole", "TrackingApp"): _tracking_app,
    ("ExecutionRoleKey", "Key"): _keys,
    ("ExecutionRoleKey", "KeyGrants"): _keys,
    ("ExecutionRoleNetwork", "NoResourceToName"): _network,
    ("ExecutionRoleNetwork", "Interfaces"): _interfaces,
}
