#!/usr/bin/env bash
# moto 5.2.5 with boto3 1.44.5: UpdateModelPackage that changes a model package's approval status alone removes its
# CustomerMetadataProperties, and its ApprovalDescription.
#
# Expected: members that a request does not name stay as they are. The API has a member of its own to take metadata away,
# CustomerMetadataPropertiesToRemove.
# Seen: after update_model_package(ModelApprovalStatus=...) DescribeModelPackage answers without either.
# Why it matters: a test that approves a version and then deploys it by what its metadata say fails against moto, although
# the API does not say that the metadata go.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "moto[sagemaker]==5.2.5" boto3==1.44.5 2>/dev/null
cat > show.py <<'PY'
import os

os.environ.update(AWS_ACCESS_KEY_ID="example", AWS_SECRET_ACCESS_KEY="example", AWS_DEFAULT_REGION="us-east-1")
import boto3  # noqa: E402
from moto import mock_aws  # noqa: E402

with mock_aws():
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="group",
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={"variant": "merged"},
    )["ModelPackageArn"]

    def seen():
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        return package.get("CustomerMetadataProperties"), package.get("ApprovalDescription")

    before = seen()
    print("registered:                     metadata %s, note %s" % before)
    assert before[0] == {"variant": "merged"}
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="good",
        CustomerMetadataProperties={"variant": "merged"},
    )
    print("approved with note and metadata: metadata %s, note %s" % seen())
    assert seen() == ({"variant": "merged"}, "good")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    after = seen()
    print("status changed alone:           metadata %s, note %s" % after)
    assert not after[0] and not after[1], "moto keeps them now"
PY
venv/bin/python show.py
echo "as seen: moto forgets metadata and note where a request changes the status alone"
