"""AWS clients, and AWS's errors as one line that a user can act on.

boto3 and botocore are imported when the first client is made or the first error is read: commands that stay on this
machine never pay for them. Nothing here decides what to call; the modules that do are handed their client.
"""

from __future__ import annotations

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
MISSING = {"ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NotFound", "404"}
# A refused HEAD request has no body: what would have been needed is all that can be told.
NEEDED = {"HeadObject": "s3:GetObject and s3:ListBucket"}
_NOT_AUTHORIZED = re.compile(r"(?:User: )?(\S+) is not authorized to perform: ([\w:*-]+)(?: on resource: (\S+))?")
_ROLE = re.compile(r"arn:[\w-]+:sts::(\d+):assumed-role/([^/]+)/.*")


def client(service: str, region: str | None = None, profile: str | None = None) -> Any:
    """A client for an AWS service that retries throttled calls; region and profile default to the environment's."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10, read_timeout=60)
    return boto3.Session(region_name=region, profile_name=profile).client(service, config=config)


@contextmanager
def translated(command: str) -> Iterator[None]:
    """Raise AWS's errors from within as UserError; `command` is what to run again once the cause is mended."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise user_error(error, command) from error


def check_account(sts: Any, expected_account: str, command: str) -> None:
    """Refuse to touch another account than the settings name.

    Raises:
        UserError: the credentials belong to another account.
    """
    identity = sts.get_caller_identity()
    if identity["Account"] != expected_account:
        raise UserError(
            f"AWS: the settings name account {expected_account}, and the credentials are {identity['Arn']}; "
            f"choose others with AWS_PROFILE or mend the settings, then: {command}"
        )


def is_missing(error: Exception) -> bool:
    """Whether an AWS error says that something does not exist; SageMaker often calls that a validation error."""
    code, message = _code_and_message(error)
    said = re.search(r"does not exist|could not find|not found", message, re.IGNORECASE)
    return code in MISSING or (code == "ValidationException" and said is not None)


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


def user_error(error: Exception, command: str) -> UserError:
    """One of boto3's or botocore's errors as one line: what happened, what to do, and the command that comes next."""
    code, message = _code_and_message(error)
    return UserError("AWS: " + (_local_cause(error, command) or _service_cause(error, code, message, command)))


def _answer(error: Exception) -> dict[str, Any]:
    """AWS's answer in an error, or in the one that it wraps: uploads hide the first behind an error of their own."""
    return getattr(error, "response", None) or getattr(error.__context__, "response", None) or {}


def _code_and_message(error: Exception) -> tuple[str, str]:
    details = _answer(error).get("Error", {})
    return str(details.get("Code", "")), " ".join(str(details.get("Message") or error).split())


def _local_cause(error: Exception, command: str) -> str:
    """The mending of an error that arose before AWS answered, or an empty string."""
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
        return f"the credentials cannot be read ({' '.join(str(error).split())}); mend them, then: {command}"
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return f"{' '.join(str(error).split())}; check the network, the proxy and the region, then: {command}"
    return ""


def _service_cause(error: Exception, code: str, message: str, command: str) -> str:
    operation = getattr(error, "operation_name", None) or getattr(error.__context__, "operation_name", "the request")
    if code in CREDENTIALS_EXPIRED:
        return f"the credentials have expired; renew them (`aws sso login`), then: {command}"
    if code in CREDENTIALS_INVALID:
        return f"the credentials are not valid ({code}); check AWS_PROFILE and the access key, then: {command}"
    if code in DENIED:
        return _denied(operation, message, command)
    if code in THROTTLED:
        return f"{operation} is being throttled, after several tries; wait a minute, then: {command}"
    if code in ("ResourceLimitExceeded", "LimitExceededException"):
        return f"{operation} hit a quota ({message}); ask for more in Service Quotas, then: {command}"
    if is_missing(error):
        return _missing(error, operation, message, command)
    if code:
        return f"{operation} was refused ({code}: {message}); mend it, then: {command}"
    return f"{message}; mend it, then: {command}"


def _denied(operation: str, message: str, command: str) -> str:
    match = _NOT_AUTHORIZED.search(message)
    who, action, resource = match.groups() if match else ("these credentials", NEEDED.get(operation, operation), None)
    if role := _ROLE.fullmatch(who):
        who = f"the role {role[2]} (account {role[1]})"
    target = f" on {resource}" if resource else ""
    if "explicit deny" in message:
        return f"{who} may not do {action}{target}: a policy denies it; have that policy changed, then: {command}"
    return f"{who} may not do {action}{target}; allow it in an IAM policy, then: {command}"


def _missing(error: Exception, operation: str, message: str, command: str) -> str:
    if "NoSuchBucket" in str(error):
        bucket = _answer(error).get("Error", {}).get("BucketName", "that the settings name")
        return f"the bucket {bucket} does not exist; create it or mend the settings, then: {command}"
    if operation.endswith("PipelineExecution") and operation != "StartPipelineExecution":
        return f"there is no such execution ({message}); see which there are: python pipeline.py list"
    if "Pipeline" in operation and "execution" not in message.lower():
        return f"there is no such pipeline in this account and region ({message}); create it: python pipeline.py upsert"
    return f"{operation} found nothing ({message}); mend the name, then: {command}"
