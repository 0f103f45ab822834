"""What moto lacks for `check --account`, filled; and an account in it that has all that the quickstart needs.

IAM's simulation, ECR's configurations of images, the quotas and MLflow's servers are answered here: moto has the rest.
The simulation reads the role's policies in moto by the rules of `tests/pipeline/iam.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from pipeline.account_check import needs
from tests.pipeline import iam
from tests.pipeline.moto_server import ACCOUNT, BUCKET, client

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
QUOTAS = {
    "ml.m5.xlarge for training job usage": 15,
    "ml.m5.xlarge for processing job usage": 4,
    "ml.m5.large for processing job usage": 4,
    "ml.t3.medium for processing job usage": 4,
    "ml.g5.2xlarge for endpoint usage": 1,
}


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
            "EvalDecision": iam.decision(statements_of(role), action, resource, keys),
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


def template_policies(role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies of a role of the template, as the stack makes them in moto's account."""
    for name, document in template.of_role(iam.resources(), role):
        yield name, iam.resolved(document)


def make(endpoint: str, code_version: str) -> Made:
    """An account in which the quickstart would run."""
    made = Made(endpoint)
    s3, client_of_iam = made.client("s3"), made.client("iam")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    blocks = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=blocks)
    for logical in needs.ROLES:
        properties = iam.resources()[logical]["Properties"]
        name, trust = iam.resolved(properties["RoleName"]), iam.resolved(properties["AssumeRolePolicyDocument"])
        client_of_iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        for policy, document in template_policies(logical):
            client_of_iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
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
