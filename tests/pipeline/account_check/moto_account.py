"""What moto lacks for `check --account`, filled; and an account in it that has all that the quickstart needs.

IAM's simulation, ECR's configurations of images, the quotas and MLflow's servers are answered here: moto has the rest.
The simulation reads the role's policies in moto by IAM's rules for Allow, wildcards, StringEquals and Bool.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
from moto.core.responses import ActionResult
from moto.ecr.responses import ECRResponse
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.sagemaker.responses import SageMakerResponse
from moto.servicequotas.responses import ServiceQuotasResponse

from pipeline.account import template
from pipeline.account.template import listed
from tests.pipeline.moto_server import ACCOUNT, BUCKET, client

ROLE = "dpo-pipeline-execution"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
NAMES = {
    "${AWS::Partition}": "aws",
    "${AWS::Region}": "us-east-1",
    "${AWS::AccountId}": ACCOUNT,
    "${Name}": "dpo",
    "${Bucket.Arn}": f"arn:aws:s3:::{BUCKET}",
    "${JobsSecurityGroup}": "sg-0123abcd",
}
ATTRIBUTES = {"Bucket.Arn": f"arn:aws:s3:::{BUCKET}", "Key.Arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1a2b"}
QUOTAS = {
    "ml.m5.xlarge for training job usage": 15,
    "ml.m5.xlarge for processing job usage": 4,
    "ml.m5.large for processing job usage": 4,
    "ml.t3.medium for processing job usage": 4,
    "ml.g5.2xlarge for endpoint usage": 1,
}


def resolved(value: Any) -> Any:
    """A part of the template as CloudFormation would make it in moto's account."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name == "Fn::Sub":
            for variable, text in NAMES.items():
                inner = inner.replace(variable, text)
            return inner
        if name == "Ref":
            return NAMES["${" + inner + "}"]  # a parameter of CloudFormation's own, or of the template's
        if name == "Fn::GetAtt":
            return ATTRIBUTES[inner]
    if isinstance(value, dict):
        return {key: resolved(inner) for key, inner in value.items()}
    return [resolved(inner) for inner in value] if isinstance(value, list) else value


def allows(statements: list[dict[str, Any]], action: str, resource: str, keys: Mapping[str, str]) -> str:
    """IAM's decision on one action and resource."""
    decision = "implicitDeny"
    for statement in statements:
        named = any(fnmatchcase(action.lower(), one.lower()) for one in listed(statement["Action"]))
        meant = any(fnmatchcase(resource, one) for one in listed(statement["Resource"]))
        holds = all(
            keys.get(key) in listed(values)
            for wanted in statement.get("Condition", {}).values()
            for key, values in wanted.items()
        )
        if named and meant and holds:
            if statement["Effect"] == "Deny":
                return "explicitDeny"
            decision = "allowed"
    return decision


def statements_of(role: Any) -> list[dict[str, Any]]:
    documents = [json.loads(policy) for policy in role.policies.values()]
    return [statement for document in documents for statement in listed(document["Statement"])]


def _simulate(self: Any) -> ActionResult:
    role = iam_backends[ACCOUNT]["aws"].get_role(self._get_param("PolicySourceArn").rpartition("/")[2])
    keys = {entry["ContextKeyName"]: entry["ContextKeyValues"][0] for entry in self._get_param("ContextEntries", [])}
    (resource,) = self._get_param("ResourceArns")
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": allows(statements_of(role), action, resource, keys),
        }
        for action in self._get_param("ActionNames")
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _download(self: Any) -> ActionResult:
    """Where a test has put an image's configuration: in moto's own S3."""
    address = urlsplit(self.uri_match.string if self.uri_match else self.uri)
    host = self.headers.get("Host") or address.netloc
    digest = self._get_param("layerDigest")
    return ActionResult({"downloadUrl": f"http://{host}/{BUCKET}/blobs/{digest}", "layerDigest": digest})


def fill(patch: pytest.MonkeyPatch, quotas: Mapping[str, float]) -> None:
    """Answer what moto does not."""

    def of_service(self: Any) -> str:
        found = [
            {"QuotaName": name, "Value": value, "QuotaCode": f"L-{index:08X}"}
            for index, (name, value) in enumerate(quotas.items())
        ]
        return json.dumps({"Quotas": found})

    def stopped(self: Any) -> str:
        return json.dumps({"TrackingServerStatus": "Stopped", "IsActive": "Inactive"})

    patch.setattr(SageMakerResponse, "describe_mlflow_tracking_server", stopped, raising=False)
    patch.setattr(IamResponse, "simulate_principal_policy", _simulate, raising=False)
    patch.setattr(ECRResponse, "get_download_url_for_layer", _download)
    patch.setattr(ServiceQuotasResponse, "list_service_quotas", of_service, raising=False)
    patch.setattr(ServiceQuotasResponse, "list_aws_default_service_quotas", lambda self: json.dumps({"Quotas": []}))


@dataclass(frozen=True)
class Made:
    """The account that was made, by its clients."""

    endpoint: str

    def client(self, service: str) -> Any:
        return client(self.endpoint, service)

    def image(self, name: str, tag: str, kind: str = DOCKER, **config: Any) -> None:
        """An image in its repository, with its configuration where ECR would lead to it."""
        ecr, digest = self.client("ecr"), f"sha256:{name}"
        ecr.create_repository(repositoryName=name)
        manifest = json.dumps({"mediaType": kind, "config": {"digest": digest}, "layers": []})
        ecr.put_image(repositoryName=name, imageManifest=manifest, imageManifestMediaType=kind, imageTag=tag)
        body = json.dumps({"config": config}).encode()
        self.client("s3").put_object(Bucket=BUCKET, Key=f"blobs/{digest}", Body=body, ACL="public-read")


@cache
def _template() -> dict[str, Any]:
    return template.read()


def template_policies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies of the jobs' role, as the stack makes them in moto's account."""
    resources = _template()["Resources"]
    for name in ("ExecutionRole", "ExecutionRoleKey", "ExecutionRoleNetwork"):
        for _, document in template.policies({name: resources[name]}):
            if "Resource" in document["Statement"][0]:
                yield name, resolved(document)


def make(endpoint: str, code_version: str) -> Made:
    """An account in which the quickstart would run."""
    made = Made(endpoint)
    s3, iam = made.client("s3"), made.client("iam")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    blocks = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=blocks)
    properties = _template()["Resources"]["ExecutionRole"]["Properties"]
    trust = resolved(properties["AssumeRolePolicyDocument"])
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    for name, document in template_policies():
        iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=json.dumps(document))
    labels = {"org.opencontainers.image.version": code_version}
    made.image("dpo-training", "1", Labels=labels, Env=["CUDA_VERSION=13.3.0"])
    made.image("dpo-processing", "1", Labels=labels)
    made.image("djl-inference", "0.38.0-lmi29.0.0-cu130", Env=["CUDA_VERSION=13.0.1"])
    weights = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}, "metadata": {"total_size": 4000}}
    files = {
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "chat_template.jinja": b"x",
        "model.safetensors.index.json": json.dumps(weights).encode(),
        "model-1.safetensors": bytes(2100),
        "model-2.safetensors": bytes(2100),
    }
    for name, content in files.items():
        s3.put_object(Bucket=BUCKET, Key=f"models/tiny/{name}", Body=content)
    return made
