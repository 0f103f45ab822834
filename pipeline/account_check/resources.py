"""What a statement of the roles' policies is about in a workflow: its jobs, objects, images, secrets, networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from pipeline.account.images import ECR, repository
from pipeline.account_check.context import Context
from pipeline.preflight.inputs import FOLDERS
from pipeline.settings.account import RoleName
from pipeline.settings.security import SecretArn
from steps.shared import secrets

EXAMPLE = "pipelines-account-check"  # a job's name: Pipelines begins all of them so
ANYTHING = "*"  # IAM knows no resource for these actions
STEPS: dict[RoleName, str] = {
    "champion": "Champion",
    "preprocess": "Preprocess",
    "train": "Train",
    "gate": "Gate",
    "merge": "Merge",
    "register_job": "RegisterMerged",
}
_PROFILE = re.compile(r"^(us|eu|apac|jp|au|ca|us-gov|global)\.")  # how the names of Bedrock's own profiles begin
Job: TypeAlias = RoleName | None  # None: the pipeline itself
Resources = Callable[[Context, Job, str], list[str]]  # of a job, for an action; none where it is not needed


def _jobs(context: Context, job: Job, action: str) -> list[str]:
    kinds = [kind for kind in ("processing", "training") if kind in action.lower()] or ["processing", "training"]
    return [context.arn("sagemaker", f"{kind}-job/{EXAMPLE}") for kind in kinds]


def _versions(context: Context, job: Job, action: str) -> list[str]:
    name = context.workflow.settings.register_model.package_group
    group, version = (
        context.arn("sagemaker", f"model-package-group/{name}"),
        context.arn("sagemaker", f"model-package/{name}/1"),
    )
    if action.endswith(("Group", "ListModelPackages")):
        return [group]
    return [version] if action.endswith("ModelPackage") else [group, version]


def _job_roles(context: Context, job: Job, action: str) -> list[str]:
    """The roles that the pipeline hands to its jobs, as the definition names them."""
    arns = (step.arguments.get("RoleArn") for step in context.document.all_steps)
    return sorted({arn for arn in arns if isinstance(arn, str)})


def elsewhere(context: Context) -> list[tuple[str, str]]:
    """Bucket, and key or prefix, of what is read and lies in a bucket other than the account's."""
    account, uris = context.workflow.account, [str(context.values.get(name, "")) for name in FOLDERS]
    places = [uri.removeprefix("s3://").partition("/") for uri in uris if uri.startswith("s3://")]
    return sorted({(bucket, key) for bucket, _, key in places if bucket != account.bucket})


def _runs(context: Context, job: Job, action: str) -> list[str]:
    """An object among an execution's results; a job writes below its step's name."""
    account, name = context.workflow.account, context.workflow.settings.pipeline_name
    folder = f"{account.bucket}/{account.prefix}/{name}/runs/{EXAMPLE}"
    step = STEPS.get(job, EXAMPLE) if job and action != "s3:GetObject" else EXAMPLE
    return [context.of_bucket(f"{folder}/{step}/{EXAMPLE}")]


def _writes(context: Context, job: Job, action: str) -> list[str]:
    """The same of what is written: the role of Preprocess is Collect's too."""
    found = _runs(context, job, action)
    if job == "preprocess" and context.workflow.settings.collect:
        found += [uri.replace("/Preprocess/", "/Collect/") for uri in found]
    return found


def _captures(context: Context, job: Job, action: str) -> list[str]:
    if not context.workflow.settings.collect:  # nothing reads what an endpoint would keep
        return []
    return [context.of_bucket(f"{context.workflow.captures_uri.removeprefix('s3://')}{EXAMPLE}")]


def _checkpoints(context: Context, job: Job, action: str) -> list[str]:
    account, name = context.workflow.account, context.workflow.settings.pipeline_name
    return [context.of_bucket(f"{account.bucket}/{account.prefix}/{name}/checkpoints/{EXAMPLE}")]


def _reads(context: Context, job: Job, action: str) -> list[str]:
    """An object of the account's bucket: of the results, and for all but gate and registration of the whole of it."""
    if job in ("gate", "register_job"):
        return _runs(context, job, action)
    account = context.workflow.account
    return [context.of_bucket(f"{account.bucket}/{account.prefix}/{EXAMPLE}")]


def _listing(context: Context, job: Job, action: str) -> list[str]:
    return [context.of_bucket(context.workflow.account.bucket)]


def _elsewhere(context: Context, job: Job, action: str) -> list[str]:
    others = elsewhere(context)
    if action == "s3:ListBucket":
        return sorted({context.of_bucket(name) for name, _ in others})
    keys = ((bucket, key + EXAMPLE if key.endswith("/") or not key else key) for bucket, key in others)
    return [context.of_bucket(f"{bucket}/{key}") for bucket, key in keys]


def images(context: Context) -> dict[str, str]:
    """The images that the workflow's jobs and endpoints use, by their names in the settings."""
    given = context.workflow.account.images.model_dump(exclude_none=True)
    on_spark = context.workflow.settings.preprocess.engine == "spark"
    return {name: uri for name, uri in given.items() if name != "spark" or on_spark}


def _repositories(context: Context, names: Iterable[str]) -> list[str]:
    given = images(context)
    places = [repository(given[name]).partition("/") for name in names if name in given]
    found = [(ECR.fullmatch(registry), name) for registry, _, name in places]
    partition = context.workflow.account.role_arn.split(":")[1]
    return [
        f"arn:{partition}:ecr:{match['region']}:{match['account']}:repository/{name}" for match, name in found if match
    ]


def _job_image(context: Context, job: Job, action: str) -> list[str]:
    on_spark = job == "preprocess" and context.workflow.settings.preprocess.engine == "spark"
    return _repositories(context, ["training" if job == "train" else "spark" if on_spark else "processing"])


def _serving_image(context: Context, job: Job, action: str) -> list[str]:
    return _repositories(context, ["inference"])


def _anything(context: Context, job: Job, action: str) -> list[str]:
    return [ANYTHING]


def _logs(context: Context, job: Job, action: str) -> list[str]:
    stream = "" if action.endswith(("LogGroup", "LogStreams")) else f":log-stream:{EXAMPLE}"
    groups = ["TrainingJobs"] if job == "train" else ["ProcessingJobs"]
    if job == "train" and context.workflow.settings.candidates:  # a Processing job of the same role
        groups.append("ProcessingJobs")
    return [context.arn("logs", f"log-group:/aws/sagemaker/{group}{stream}") for group in groups]


def _endpoint_logs(context: Context, job: Job, action: str) -> list[str]:
    stream = "" if action.endswith(("LogGroup", "LogStreams")) else f":log-stream:{EXAMPLE}"
    return [context.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{EXAMPLE}{stream}")]


def secrets_of(context: Context, job: Job = None) -> dict[str, SecretArn]:
    """Variable -> the secret that its value is kept in, of those that this workflow's jobs, or one of them, read."""
    found: dict[str, SecretArn] = {}
    for step in context.document.all_steps:
        if job is None or step.name == STEPS[job]:
            for name, value in (step.arguments.get("Environment") or {}).items():
                if name.endswith(secrets.SUFFIX):
                    found[name.removesuffix(secrets.SUFFIX)] = value
    return found


def secret_arns(context: Context, job: Job) -> list[str]:
    """The ARNs of the secrets that a job reads."""
    return sorted({place.partition("#")[0] for place in secrets_of(context, job).values()})


def _secrets(context: Context, job: Job, action: str) -> list[str]:
    return secret_arns(context, job)


def judges(context: Context, region: str | None = None) -> list[str]:
    """The ARNs of the model that judges answers: itself, and where an inference profile is named also the model that
    this leads to, which a role must be allowed in every region that it leads to.

    Args:
        region: of these models, where it is not the job's own.
    """
    named = context.workflow.settings.gate.judge
    if named is None:
        return []
    if named.startswith("arn:"):
        found = [named]
    else:
        found = [context.arn("bedrock", f"inference-profile/{named}")] if _PROFILE.match(named) else []
    if not found or ":inference-profile/" in found[0]:
        partition, name = context.workflow.account.role_arn.split(":")[1], named.rpartition("/")[2]
        model = _PROFILE.sub("", name)
        found.append(f"arn:{partition}:bedrock:{region or context.region}::foundation-model/{model}")
    return found


def _judge(context: Context, job: Job, action: str) -> list[str]:
    """The gate asks it, and Candidates, which runs as training's role."""
    return judges(context) if job == "gate" or context.workflow.settings.candidates else []


def _tracking(context: Context, job: Job, action: str) -> list[str]:
    uri = context.workflow.recipe.mlflow_uri or ""
    return [uri] if uri.startswith("arn:") else []


def _tracking_app(context: Context, job: Job, action: str) -> list[str]:
    return [uri for uri in _tracking(context, job, action) if ":mlflow-app/" in uri]


def keys(context: Context) -> dict[str, str]:
    """Setting -> the ARN of its KMS key."""
    security = context.workflow.account.security
    given = {"volume_kms_key": security.volume_kms_key, "output_kms_key": security.output_kms_key}
    return {
        name: key if key.startswith("arn:") else context.arn("kms", f"key/{key}") for name, key in given.items() if key
    }


def _keys(context: Context, job: Job, action: str) -> list[str]:
    return sorted(set(keys(context).values()))


def _network(context: Context, job: Job, action: str) -> list[str]:
    return [ANYTHING] if context.workflow.account.security.subnets else []


def _interfaces(context: Context, job: Job, action: str) -> list[str]:
    security = context.workflow.account.security
    if not security.subnets:
        return []
    found = [context.arn("ec2", f"network-interface/{EXAMPLE}")]
    if action == "ec2:CreateNetworkInterface":
        found += [context.arn("ec2", f"subnet/{name}") for name in security.subnets]
        found += [context.arn("ec2", f"security-group/{name}") for name in security.security_groups]
    return found


RESOURCES: dict[str, Resources] = {
    "Jobs": _jobs,
    "HandsRolesToJobs": _job_roles,
    "Versions": _versions,
    "Registers": _versions,
    "Results": _runs,
    "Reads": _reads,
    "Writes": _writes,
    "Captures": _captures,
    "Checkpoints": _checkpoints,
    "Elsewhere": _elsewhere,
    "Listing": _listing,
    "Images": _job_image,
    "ServingImage": _serving_image,
    "NoResourceToName": _anything,
    "Metrics": _anything,
    "EndpointMetrics": _anything,
    "Logs": _logs,
    "EndpointLogs": _endpoint_logs,
    "HubSecret": _secrets,
    "TrackingSecrets": _secrets,
    "Judge": _judge,
    "Tracking": _tracking,
    "TrackingApp": _tracking_app,
    "Key": _keys,
    "KeyGrants": _keys,
    "Networks": _network,
    "Interfaces": _interfaces,
}
