"""AWS's errors as one line that a user can act on: what happened, what to do, the command that comes next.

botocore is imported when the first error is read: commands that stay on this machine never pay for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import UserError

CREDENTIALS_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
CREDENTIALS_INVALID = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthFailure",
    "InvalidSignatureException",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
}
MISSING = {
    "ResourceNotFound", "ResourceNotFoundException", "RepositoryNotFoundException", "NoSuchBucket", "NoSuchKey",
    "NotFound", "404", "NotFoundException", "NoSuchEntity",
}  # fmt: skip
VALIDATION = {"ValidationException", "ValidationError"}  # the second is CloudFormation's
# A refused HEAD request has no body: what would have been needed is all that can be told.
NEEDED = {"HeadObject": "s3:GetObject and s3:ListBucket"}
QUOTA = {"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"}
_NOT_AUTHORIZED = re.compile(r"(?:User: )?(\S+) is not authorized to perform: ([\w:*-]+)(?: on resource: (\S+))?")
_ROLE = re.compile(r"arn:[\w-]+:sts::(\d+):assumed-role/([^/]+)/.*")
_JOB_NAME = re.compile(r"(-job/pipelines-).+")
_SETTINGS = re.compile(r" --settings \S+")  # the option by which a command means the same place as another
_NOT_ASSUMED = re.compile(r"\bassume (?:the )?role\W+(arn:[\w-]+:iam::\d+:role/[\w+=,.@/-]*\w)", re.IGNORECASE)


@contextmanager
def translated(command: str) -> Iterator[None]:
    """Raise AWS's errors from within as UserError; `command` is what to run again once the cause is fixed."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise user_error(error, command) from error


def is_missing(error: Exception) -> bool:
    """Whether an AWS error says that something does not exist; some services call that a validation error."""
    code, message = code_and_message(error)
    said = re.search(r"does not exist|could not find|not found", message, re.IGNORECASE)
    return code in MISSING or (code in VALIDATION and said is not None)


def described(describe: Callable[[], Any]) -> Any:
    """The answer of a call that reads something; None where there is no such thing."""
    from botocore.exceptions import ClientError

    try:
        return describe()
    except ClientError as error:
        # A missing bucket is no missing object: an upload would fail in the same way.
        if is_missing(error) and error.response["Error"].get("Code") != "NoSuchBucket":
            return None
        raise


def has_no_credentials(error: Exception) -> bool:
    """Whether AWS was not asked, since nothing on this machine says who asks."""
    from botocore import exceptions

    return isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError)


def is_denied(error: Exception) -> bool:
    """Whether AWS refused a call because the caller lacks a permission."""
    return code_and_message(error)[0] in DENIED


def refusal(error: Exception) -> str:
    """Who lacks which permission, and the policy statement that would give it."""
    operation = getattr(error, "operation_name", "the request")
    return _denied(operation, code_and_message(error)[1])


def refused_action(error: Exception) -> str | None:
    """The IAM action that AWS says is missing; None where its answer names none, as that of a HEAD request."""
    match = _NOT_AUTHORIZED.search(code_and_message(error)[1])
    return match[2] if match else None


def is_passing(error: Exception) -> bool:
    """Whether the same call may well succeed in a minute: no connection, throttled, or a fault of the service."""
    from botocore import exceptions

    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return True
    status = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code_and_message(error)[0] in THROTTLED or status >= 500


def advice(reason: str) -> str:
    """What to do about a job's or step's failure that is the account's and not the code's; empty for any other.

    Pipelines reports these as the text of a failure reason, hours after the command that started it has ended.
    """
    if _NOT_AUTHORIZED.search(reason):
        return _denied("the request", reason)
    if "ResourceLimitExceeded" in reason or "service limit" in reason:
        return "the account's quota is too small; ask for more in Service Quotas (SageMaker, by instance type and use)"
    if "CapacityError" in reason:
        return "AWS has no such instance free now; take another type (--set TrainInstanceType=…) or region, or wait"
    return ""


def advice_on(reason: str) -> str:
    """The same with what stands between it and the reason; empty where there is none."""
    found = advice(reason)
    return f" → {found}" if found else ""


def user_error(error: Exception, command: str) -> UserError:
    """One of boto3's or botocore's errors as one line: what happened, what to do, and the command that comes next."""
    code, message = code_and_message(error)
    return UserError("AWS: " + (_local_cause(error, command) or _service_cause(error, code, message, command)))


def _answer(error: Exception) -> dict[str, Any]:
    """AWS's answer in an error, or in the one that it wraps: uploads hide the first behind an error of their own."""
    return getattr(error, "response", None) or getattr(error.__context__, "response", None) or {}


def code_and_message(error: Exception) -> tuple[str, str]:
    details = _answer(error).get("Error", {})
    return str(details.get("Code", "")), " ".join(str(details.get("Message") or error).split())


def _local_cause(error: Exception, command: str) -> str:
    """How to fix an error that arose before AWS answered, or an empty string."""
    from botocore import exceptions

    if isinstance(error, exceptions.NoRegionError):
        return f"no region is set; name it in the settings or in AWS_DEFAULT_REGION, then: {command}"
    if isinstance(error, exceptions.ProfileNotFound):
        return f"{error}; choose one of `aws configure list-profiles` as AWS_PROFILE, then: {command}"
    if isinstance(error, exceptions.SSOError | exceptions.TokenRetrievalError):
        return f"the single sign-on session has expired; run `aws sso login`, then: {command}"
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return f"no complete credentials found; run `aws configure sso` or set AWS_PROFILE, then: {command}"
    if isinstance(error, exceptions.CredentialRetrievalError):
        return f"the credentials cannot be read ({' '.join(str(error).split())}); fix them, then: {command}"
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return f"{' '.join(str(error).split())}; check the network, the proxy and the region, then: {command}"
    return ""


def _service_cause(error: Exception, code: str, message: str, command: str) -> str:
    named = getattr(error, "operation_name", None) or getattr(error.__context__, "operation_name", None)
    operation = str(named or "the request")
    if code in CREDENTIALS_EXPIRED:
        return f"the credentials have expired; renew them (`aws sso login`), then: {command}"
    if code in CREDENTIALS_INVALID:
        return f"the credentials are not valid ({code}); check AWS_PROFILE and the access key, then: {command}"
    if code in DENIED:
        return f"{_denied(operation, message)}, then: {command}"
    if role := _NOT_ASSUMED.search(message):
        return (
            f"SageMaker may not assume the role {role[1]}; let its trust policy name the service "
            f"sagemaker.amazonaws.com (the settings' role_arn and roles), then: {command}"
        )
    if code in THROTTLED:
        return f"{operation} is being throttled, after several tries; wait a minute, then: {command}"
    if code in QUOTA:
        return f"{operation} hit a quota ({message}); ask for more in Service Quotas, then: {command}"
    if is_missing(error):
        return _missing(error, operation, message, command)
    if code:
        return f"{operation} was refused ({code}: {message}); fix it, then: {command}"
    return f"{message}; fix it, then: {command}"


def _denied(operation: str, message: str) -> str:
    """Who may not do what, and the policy statement that would allow it, without what comes next."""
    match = _NOT_AUTHORIZED.search(message)
    if match is None:
        # The answer names nobody, such as that of a HEAD request.
        return f"these credentials may not do {NEEDED.get(operation, operation)}; allow it in an IAM policy"
    who, action, resource = match[1], match[2], (match[3] or "").strip("\"'.,")
    if role := _ROLE.fullmatch(who):
        who = f"the role {role[2]} (account {role[1]})"
    target = f" on {resource}" if resource else ""
    if "explicit deny" in message:
        return f"{who} may not do {action}{target}: a policy denies it; have that policy changed"
    # Pipelines gives every job a name of its own: allowing this one would not help the next.
    allowed = _JOB_NAME.sub(r"\1*", resource) or "*"
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": allowed})
    return f"{who} may not do {action}{target}; add to one of its policies: {statement}"


def _missing(error: Exception, operation: str, message: str, command: str) -> str:
    place = _SETTINGS.search(command)
    settings = place[0] if place else ""
    if "NoSuchBucket" in str(error):
        bucket = _answer(error).get("Error", {}).get("BucketName", "that the settings name")
        make = f"python pipeline.py bootstrap{settings}"
        return f"the bucket {bucket} does not exist; make it: {make}; or name one that is there, then: {command}"
    if operation.endswith("PipelineExecution") and operation != "StartPipelineExecution":
        return f"there is no such execution ({message}); see which there are: python pipeline.py list{settings}"
    if "Pipeline" in operation and "execution" not in message.lower():
        fix = f"create it: python pipeline.py upsert{settings}"
        return f"there is no such pipeline in this account and region ({message}); {fix}"
    return f"{operation} found nothing ({message}); fix the name, then: {command}"
