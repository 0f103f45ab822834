"""Each way in which AWS says no, as the one line that the user reads."""

import subprocess
import sys

import boto3
import pytest
from botocore import exceptions
from moto import mock_aws

from pipeline.aws import errors as aws
from pipeline.aws import executions
from pipeline.aws.client import check_account, client, patiently
from pipeline.errors import UserError
from tests.paths import ROOT

COMMAND = "python pipeline.py start"
ASSUMED = "arn:aws:sts::123456789012:assumed-role/Developer/jane"


def client_error(code, message, operation):
    return exceptions.ClientError({"Error": {"Code": code, "Message": message}}, operation)


CASES = {
    "no region": (
        exceptions.NoRegionError(),
        f"AWS: no region is set; name it in the settings or in AWS_DEFAULT_REGION, then: {COMMAND}",
    ),
    "no credentials": (
        exceptions.NoCredentialsError(),
        f"AWS: no complete credentials found; run `aws configure sso` or set AWS_PROFILE, then: {COMMAND}",
    ),
    "unknown profile": (
        exceptions.ProfileNotFound(profile="prod"),
        "AWS: The config profile (prod) could not be found; choose one of `aws configure list-profiles` as "
        f"AWS_PROFILE, then: {COMMAND}",
    ),
    "expired single sign-on": (
        exceptions.UnauthorizedSSOTokenError(),
        f"AWS: the single sign-on session has expired; run `aws sso login`, then: {COMMAND}",
    ),
    "no network": (
        exceptions.EndpointConnectionError(endpoint_url="https://api.sagemaker.us-east-1.amazonaws.com/"),
        'AWS: Could not connect to the endpoint URL: "https://api.sagemaker.us-east-1.amazonaws.com/"; check the '
        f"network, the proxy and the region, then: {COMMAND}",
    ),
    "expired credentials": (
        client_error(
            "ExpiredTokenException", "The security token included in the request is expired", "CreatePipeline"
        ),
        f"AWS: the credentials have expired; renew them (`aws sso login`), then: {COMMAND}",
    ),
    "wrong credentials": (
        client_error("UnrecognizedClientException", "The security token is invalid", "CreatePipeline"),
        "AWS: the credentials are not valid (UnrecognizedClientException); check AWS_PROFILE and the access key, then: "
        f"{COMMAND}",
    ),
    "throttled": (
        client_error("ThrottlingException", "Rate exceeded", "StartPipelineExecution"),
        f"AWS: StartPipelineExecution is being throttled, after several tries; wait a minute, then: {COMMAND}",
    ),
    "denied": (
        client_error(
            "AccessDeniedException",
            f"User: {ASSUMED} is not authorized to perform: sagemaker:CreatePipeline on resource: "
            "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo because no identity-based policy allows the "
            "sagemaker:CreatePipeline action",
            "CreatePipeline",
        ),
        "AWS: the role Developer (account 123456789012) may not do sagemaker:CreatePipeline on "
        'arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo; add to one of its policies: {"Effect": "Allow", '
        '"Action": "sagemaker:CreatePipeline", "Resource": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/dpo"}, '
        "then: " + COMMAND,
    ),
    "denied to a user": (
        client_error(
            "AccessDenied",
            "User: arn:aws:iam::123456789012:user/jane is not authorized to perform: iam:PassRole on resource: "
            "arn:aws:iam::123456789012:role/dpo with an explicit deny in a service control policy",
            "CreatePipeline",
        ),
        "AWS: arn:aws:iam::123456789012:user/jane may not do iam:PassRole on arn:aws:iam::123456789012:role/dpo: a "
        f"policy denies it; have that policy changed, then: {COMMAND}",
    ),
    "denied without a word": (
        client_error("403", "Forbidden", "HeadObject"),
        "AWS: these credentials may not do s3:GetObject and s3:ListBucket; allow it in an IAM policy, then: " + COMMAND,
    ),
    "a role that SageMaker may not assume": (
        client_error(
            "ValidationException",
            "Could not assume role arn:aws:iam::123456789012:role/dpo. Please ensure that the role exists and allows "
            "principal 'sagemaker.amazonaws.com' to assume the role.",
            "CreatePipeline",
        ),
        "AWS: SageMaker may not assume the role arn:aws:iam::123456789012:role/dpo; let its trust policy name the "
        f"service sagemaker.amazonaws.com (the settings' role_arn and roles), then: {COMMAND}",
    ),
    "no pipeline": (
        client_error("ResourceNotFound", "Pipeline 'dpo' does not exist.", "StartPipelineExecution"),
        "AWS: there is no such pipeline in this account and region (Pipeline 'dpo' does not exist.); create it: "
        "python pipeline.py upsert",
    ),
    "no execution": (
        client_error("ResourceNotFound", "Pipeline execution does not exist.", "DescribePipelineExecution"),
        "AWS: there is no such execution (Pipeline execution does not exist.); see which there are: "
        "python pipeline.py list",
    ),
    "quota": (
        client_error("ResourceLimitExceeded", "The limit is 0\n instances", "StartPipelineExecution"),
        "AWS: StartPipelineExecution hit a quota (The limit is 0 instances); ask for more in Service Quotas, then: "
        + COMMAND,
    ),
    "anything else": (
        client_error("ValidationException", "Invalid property reference in step Train", "CreatePipeline"),
        "AWS: CreatePipeline was refused (ValidationException: Invalid property reference in step Train); fix it, "
        f"then: {COMMAND}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_is_one_line_that_says_what_to_do(case):
    error, line = CASES[case]
    assert str(aws.user_error(error, COMMAND)) == line


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ResourceLimitExceeded: The account-level service limit is 0", "ask for more in Service Quotas"),
        ("CapacityError: Unable to provision requested ML compute capacity", "AWS has no such instance free now"),
        (
            f'ClientError: User: {ASSUMED} is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::b/k"',
            '{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/k"}',
        ),
        (
            f"ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: User: {ASSUMED} is not "
            "authorized to perform: sagemaker:AddTags on resource: "
            "arn:aws:sagemaker:us-east-1:123456789012:training-job/pipelines-abc-Train-xyz because no policy allows it",
            '"Resource": "arn:aws:sagemaker:us-east-1:123456789012:training-job/pipelines-*"}',
        ),
    ],
)
def test_a_failure_that_is_the_accounts_comes_with_its_fix(reason, advice):
    assert advice in aws.advice(reason)


def test_a_failure_of_the_code_comes_without_one():
    assert aws.advice("AlgorithmError: loss is not finite") == ""


def http_error(status):
    answer = {"Error": {"Code": "X", "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(answer, "DescribePipeline")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), True),
        (exceptions.ReadTimeoutError(endpoint_url="https://x"), True),
        (client_error("ThrottlingException", "Rate exceeded", "X"), True),
        (http_error(503), True),
        (http_error(400), False),
        (client_error("ExpiredTokenException", "expired", "X"), False),
        (exceptions.NoCredentialsError(), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error, passes):
    assert aws.is_passing(error) is passes


def test_patience_ends_after_half_an_hour():
    times = iter([0, 10, 1799, 1801])
    slept, said = [], []

    def call():
        raise exceptions.EndpointConnectionError(endpoint_url="https://x")

    with pytest.raises(exceptions.EndpointConnectionError):
        patiently(call, said.append, slept.append, lambda: next(times))
    assert (slept, len(said)) == ([5, 10], 1)


@pytest.fixture
def moto(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def test_a_missing_pipeline_is_translated_where_it_arises(moto):
    sagemaker = client("sagemaker", "us-east-1")
    line = r"there is no such pipeline .*; create it: python pipeline\.py upsert$"
    with pytest.raises(UserError, match=line), aws.translated(COMMAND):
        executions.start(sagemaker, "dpo", {})


def test_a_missing_bucket_is_named_although_the_upload_hides_it(moto, tmp_path):
    (tmp_path / "args.yaml").write_text("beta: 0.1")
    with pytest.raises(UserError) as caught, aws.translated(COMMAND):
        boto3.client("s3", region_name="us-east-1").upload_file(str(tmp_path / "args.yaml"), "dpo-bucket", "args.yaml")
    assert str(caught.value) == (
        "AWS: the bucket dpo-bucket does not exist; make it: python pipeline.py bootstrap; or name one that is there, "
        f"then: {COMMAND}"
    )


def test_other_errors_pass_untranslated():
    with pytest.raises(KeyError), aws.translated(COMMAND):
        raise KeyError("a bug")


def test_credentials_of_another_account_are_refused(moto):
    sts = client("sts", "us-east-1")
    check_account(sts, "123456789012", COMMAND)
    with pytest.raises(UserError) as caught:
        check_account(sts, "999999999999", COMMAND)
    assert str(caught.value) == (
        "AWS: the settings name account 999999999999, and the credentials are arn:aws:sts::123456789012:user/moto; "
        f"choose others with AWS_PROFILE or fix the settings, then: {COMMAND}"
    )


def test_clients_retry_throttled_calls(moto):
    retries = client("sagemaker", "us-east-1").meta.config.retries
    assert (retries["mode"], retries["total_max_attempts"]) == ("standard", 6)


def test_importing_the_aws_side_imports_no_sdk():
    code = (
        "import sys, pipeline.aws.errors, pipeline.aws.executions, pipeline.versions.registry;"
        "sys.exit(any(name.startswith(('boto', 'sagemaker')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
