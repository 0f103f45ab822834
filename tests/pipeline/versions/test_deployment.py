"""Deploying and taking down, against moto; what moto does not answer, against botocore's Stubber."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.stub import ANY, Stubber

from pipeline.errors import UserError
from pipeline.settings.security import Security
from pipeline.versions import deployment, endpoints
from pipeline.versions.capture import Capture
from pipeline.versions.registry import ModelVersion, Options
from steps.shared.served_files import OF_APPROVAL, OF_MODEL

ARNS = "arn:aws:sagemaker:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/dpo-execution"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
VERSION = ModelVersion(
    "dpo", 3, f"{ARNS}:model-package/dpo/3", "Approved", NOON, image="111.dkr.ecr/djl:0.38.0-lmi29.0.0-cu130",
    instance_types=("ml.g4dn.xlarge", "ml.g6e.xlarge"), metadata={"variant": "merged"},
)  # fmt: skip
CONFIG = "dpo-v3-g4dn-xlarge"
OPTIONS = Options(" --settings x.yaml", " --group dpo")
OPEN = Security()
CLOSED = Security(
    subnets=["subnet-0123456789abcdef0"], security_groups=["sg-0123456789abcdef0"], network_isolation=True,
    volume_kms_key="11111111-2222-3333-4444-555555555555",
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("aws")


def deploy(sagemaker, version: ModelVersion = VERSION, name: str = "dpo", security: Security = OPEN) -> str:
    return deployment.deploy(sagemaker, version, name, "ml.g4dn.xlarge", ROLE, security, looked_at)


def looked_at() -> None:
    """The files are what was approved."""


def test_a_version_is_served_by_a_model_of_its_package_under_names_that_follow_from_it(sagemaker) -> None:
    assert deploy(sagemaker) == "created"
    endpoint = sagemaker.describe_endpoint(EndpointName="dpo")
    assert endpoint["EndpointConfigName"] == CONFIG
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=CONFIG)["ProductionVariants"]
    assert (variant["ModelName"], variant["InstanceType"]) == ("dpo-v3", "ml.g4dn.xlarge")
    assert variant["InferenceAmiVersion"] == "al2023-ami-sagemaker-inference-gpu-4-1"  # the image is built for CUDA 13
    model = sagemaker.describe_model(ModelName="dpo-v3")
    assert (model["Containers"], model["ExecutionRoleArn"]) == ([{"ModelPackageName": VERSION.arn}], ROLE)
    for arn in (endpoint["EndpointArn"], model["ModelArn"]):
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert tags == {endpoints.TAG: "dpo", deployment.VERSION_TAG: "3"}


def test_requests_and_answers_are_kept_where_it_is_asked_for_and_only_then(sagemaker) -> None:
    def serve(captured: Capture | None, security: Security = OPEN) -> str:
        return deployment.deploy(sagemaker, VERSION, "dpo", "ml.g4dn.xlarge", ROLE, security, looked_at, captured)

    tenth = Capture(10, "s3://bucket/dpo/x/captures/")
    assert serve(tenth) == "created" and serve(tenth) == "unchanged"
    kept = sagemaker.describe_endpoint_config(EndpointConfigName=f"{CONFIG}-c10")["DataCaptureConfig"]
    assert kept == {
        "EnableCapture": True, "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://bucket/dpo/x/captures/version-3",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }  # fmt: skip
    with pytest.raises(UserError, match="dpo-v3 was deployed with other security settings"):
        serve(replace(tenth, uri="s3://other/captures/"))
    assert tenth.request(3, Security(output_kms_key="0123-key"))["KmsKeyId"] == "0123-key"
    assert f"{CONFIG}-c10" in deployment.undeploy(sagemaker, "dpo")
    assert serve(None) == "created"
    assert not sagemaker.describe_endpoint_config(EndpointConfigName=CONFIG).get("DataCaptureConfig")


def test_the_same_again_changes_nothing_and_goes_on_where_it_was_cut_off(sagemaker) -> None:
    deploy(sagemaker)
    assert deploy(sagemaker) == "unchanged"
    sagemaker.delete_endpoint(EndpointName="dpo")  # as if the call had ended before the last request
    assert deploy(sagemaker) == "created"


def test_nothing_is_made_of_files_that_were_swapped_and_what_is_served_is_not_read_again(sagemaker) -> None:
    def swapped() -> None:
        raise UserError("model.safetensors has another content")

    def serve() -> str:
        return deployment.deploy(sagemaker, VERSION, "dpo", "ml.g4dn.xlarge", ROLE, OPEN, swapped)

    with pytest.raises(UserError, match="another content"):
        serve()
    assert sagemaker.list_models()["Models"] == [] and sagemaker.list_endpoints()["Endpoints"] == []
    deploy(sagemaker)
    assert serve() == "unchanged"


def test_an_approval_of_other_files_is_none() -> None:
    facts = {OF_MODEL: "ab" * 32, OF_APPROVAL: "ab" * 32}
    deployment.require_approved(replace(VERSION, metadata=facts), OPTIONS)
    deployment.require_approved(replace(VERSION, metadata={OF_MODEL: "ab" * 32}), OPTIONS)  # approved in Studio
    with pytest.raises(UserError, match=r"approved with other files .* approve 3 --settings x\.yaml --group dpo$"):
        deployment.require_approved(replace(VERSION, metadata=facts | {OF_MODEL: "cd" * 32}), OPTIONS)


def test_everything_goes_and_nothing_else(sagemaker) -> None:
    deploy(sagemaker)
    deploy(sagemaker, name="dpo-v7")  # called like a version of the other
    foreign = {"ModelName": "dpo-v9", "ExecutionRoleArn": ROLE, "Containers": [{"ModelPackageName": VERSION.arn}]}
    sagemaker.create_model(**foreign)
    assert deployment.undeploy(sagemaker, "dpo") == ["dpo", CONFIG, "dpo-v3"]
    assert {model["ModelName"] for model in sagemaker.list_models()["Models"]} == {"dpo-v7-v3", "dpo-v9"}
    assert [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]] == ["dpo-v7"]
    (config,) = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert config["EndpointConfigName"] == "dpo-v7-v3-g4dn-xlarge"
    with pytest.raises(UserError, match="there is no endpoint 'dpo'; there are dpo-v7"):
        deployment.undeploy(sagemaker, "dpo")


def test_what_an_interrupted_call_left_is_taken_down_too(sagemaker) -> None:
    deploy(sagemaker)
    sagemaker.delete_endpoint(EndpointName="dpo")
    assert deployment.undeploy(sagemaker, "dpo") == [CONFIG, "dpo-v3"]


def test_an_endpoint_of_somebody_else_is_left_alone(sagemaker) -> None:
    deploy(sagemaker)
    arn = sagemaker.describe_endpoint(EndpointName="dpo")["EndpointArn"]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[endpoints.TAG])
    for call in (lambda: deployment.undeploy(sagemaker, "dpo"), lambda: deploy(sagemaker, replace(VERSION, version=4))):
        with pytest.raises(UserError, match="endpoint dpo was not made by this pipeline"):
            call()
    assert [model["ModelName"] for model in sagemaker.list_models()["Models"]] == ["dpo-v3"]


def test_a_model_of_that_name_and_another_package_is_not_served(sagemaker) -> None:
    other = [{"ModelPackageName": f"{ARNS}:model-package/other/3"}]
    sagemaker.create_model(ModelName="dpo-v3", ExecutionRoleArn=ROLE, Containers=other)
    with pytest.raises(UserError, match=r"a model dpo-v3 is there already, and is not of .*dpo/3; give another --name"):
        deploy(sagemaker)


@pytest.mark.parametrize("name", ["with_underscore", "x" * 60, "", "-x"])
def test_a_name_that_aws_does_not_take_is_refused_before_anything_is_made(sagemaker, name: str) -> None:
    with pytest.raises(UserError, match=f"at most {63 - len('-v3-g4dn-xlarge')}; give another --name"):
        deploy(sagemaker, name=name)
    assert sagemaker.list_models()["Models"] == []


def test_the_accounts_network_and_keys_hold_for_model_and_volume(sagemaker) -> None:
    reachable = CLOSED.model_copy(update={"network_isolation": False})  # which moto does not keep
    deployment.deploy(
        sagemaker, VERSION, "dpo", "ml.m4.xlarge", ROLE, reachable, looked_at
    )  # g4dn has disks of its own
    assert sagemaker.describe_model(ModelName="dpo-v3")["VpcConfig"] == CLOSED.vpc["VpcConfig"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName="dpo-v3-m4-xlarge")
    assert config["KmsKeyId"] == CLOSED.volume_kms_key


def test_a_model_is_isolated_where_the_account_says_so(stub: Stubber) -> None:
    gone = ("ValidationException", "Could not find it")
    stub.add_client_error("describe_endpoint", *gone)
    stub.add_client_error("describe_model", *gone)
    tags = [{"Key": endpoints.TAG, "Value": "dpo"}, {"Key": deployment.VERSION_TAG, "Value": "3"}]
    request = {"ModelName": "dpo-v3", "ExecutionRoleArn": ROLE, "Containers": [{"ModelPackageName": VERSION.arn}]}
    request |= {"Tags": tags, "EnableNetworkIsolation": True, **CLOSED.vpc}
    stub.add_response("create_model", {"ModelArn": f"{ARNS}:model/dpo-v3"}, request)
    stub.add_client_error("describe_endpoint_config", *gone)
    stub.add_response("create_endpoint_config", {"EndpointConfigArn": f"{ARNS}:endpoint-config/{CONFIG}"})
    expect_secured(stub, EnableNetworkIsolation=True, **CLOSED.vpc)
    stub.add_response("create_endpoint", {"EndpointArn": f"{ARNS}:endpoint/dpo"})
    assert deploy(stub.client, security=CLOSED) == "created"


def test_what_was_deployed_with_other_security_settings_is_not_called_unchanged(sagemaker) -> None:
    deploy(sagemaker)
    with pytest.raises(UserError, match=r"dpo-v3 was deployed with other security settings .* undeploy dpo$"):
        deploy(sagemaker, security=CLOSED)
    sagemaker.delete_endpoint(EndpointName="dpo")
    with pytest.raises(UserError, match="other security settings"):
        deploy(sagemaker, security=CLOSED)
    assert sagemaker.list_endpoints()["Endpoints"] == []


def test_an_adapter_has_no_base_where_its_container_has_no_network() -> None:
    adapter = replace(VERSION, metadata={"variant": "adapter"})
    deployment.require_own_base(adapter, OPEN)
    deployment.require_own_base(VERSION, CLOSED)
    with pytest.raises(UserError, match=r"is an adapter, .* start --set MergeWeights=true$"):
        deployment.require_own_base(adapter, CLOSED)


@pytest.mark.parametrize("variant", ["merged", "adapter"])
def test_only_an_approved_version_is_served(variant: str) -> None:
    version = replace(VERSION, metadata={"variant": variant})
    deployment.require_approved(version, OPTIONS)
    assert deployment.adapter_name(version) == {"merged": None, "adapter": "dpo"}[variant]
    with pytest.raises(
        UserError, match=r"dpo version 3 is Rejected, .*pipeline.py approve 3 --settings x.yaml --group dpo$"
    ):
        deployment.require_approved(replace(version, approval_status="Rejected"), OPTIONS)


def test_the_instance_type_is_one_that_the_package_supports() -> None:
    assert deployment.instance_type(VERSION, None) == "ml.g4dn.xlarge"
    assert deployment.instance_type(VERSION, "ml.g6e.xlarge") == "ml.g6e.xlarge"
    with pytest.raises(UserError, match=r"ml.t2.medium: its package supports ml.g4dn.xlarge, ml.g6e.xlarge"):
        deployment.instance_type(VERSION, "ml.t2.medium")
    with pytest.raises(UserError, match="its package names none: add --instance-type"):
        deployment.instance_type(replace(VERSION, instance_types=()), None)


def described(status: str, config: str = CONFIG, **more: object) -> dict[str, object]:
    return {
        "EndpointName": "dpo", "EndpointArn": f"{ARNS}:endpoint/dpo", "EndpointStatus": status,
        "EndpointConfigName": config, "CreationTime": NOON, "LastModifiedTime": NOON, **more,
    }  # fmt: skip


def expect_ours(stub: Stubber, endpoint: dict[str, object]) -> None:
    stub.add_response("describe_endpoint", endpoint, {"EndpointName": "dpo"})
    stub.add_response("list_tags", {"Tags": [{"Key": endpoints.TAG, "Value": "dpo"}]}, {"ResourceArn": ANY})


def expect_secured(stub: Stubber, **network: object) -> None:
    model = {"ModelName": "dpo-v3", "ModelArn": f"{ARNS}:model/dpo-v3", "CreationTime": NOON, **network}
    config = {"EndpointConfigName": CONFIG, "EndpointConfigArn": f"{ARNS}:endpoint-config/{CONFIG}"}
    stub.add_response("describe_model", model)
    stub.add_response(
        "describe_endpoint_config", config | {"ProductionVariants": [{"VariantName": "v"}], "CreationTime": NOON}
    )


def test_an_endpoint_that_serves_another_version_is_updated(stub: Stubber) -> None:
    expect_ours(stub, described("InService", "dpo-v2-g4dn-xlarge"))
    stub.add_client_error(
        "describe_model", "ValidationException", "Could not find model", expected_params={"ModelName": "dpo-v3"}
    )
    stub.add_response("create_model", {"ModelArn": f"{ARNS}:model/dpo-v3"})
    stub.add_client_error("describe_endpoint_config", "ValidationException", "Could not find endpoint configuration")
    stub.add_response("create_endpoint_config", {"EndpointConfigArn": f"{ARNS}:endpoint-config/{CONFIG}"})
    expect_secured(stub)
    stub.add_response(
        "update_endpoint",
        {"EndpointArn": f"{ARNS}:endpoint/dpo"},
        {"EndpointName": "dpo", "EndpointConfigName": CONFIG},
    )
    stub.add_response("add_tags", {"Tags": []}, {"ResourceArn": f"{ARNS}:endpoint/dpo", "Tags": ANY})
    assert deploy(stub.client) == "updating"


def test_an_update_under_way_is_watched_and_not_started_again(stub: Stubber) -> None:
    coming = {"PendingDeploymentSummary": {"EndpointConfigName": CONFIG}}
    expect_ours(stub, described("Updating", "dpo-v2-g4dn-xlarge", **coming))
    expect_secured(stub)
    assert deploy(stub.client) == "under way"
    expect_ours(stub, described("Creating"))
    expect_secured(stub)
    assert deploy(stub.client) == "under way"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("Updating", "endpoint dpo is Updating; it takes no change before that is over; watch it: aws sagemaker wait"),
        ("Failed", r"endpoint dpo is Failed \(no capacity\) .* python pipeline.py undeploy dpo"),
    ],
)
def test_an_endpoint_that_cannot_be_updated_says_what_to_do(stub: Stubber, status: str, said: str) -> None:
    expect_ours(stub, described(status, "dpo-v2-g4dn-xlarge", FailureReason="no capacity"))
    with pytest.raises(UserError, match=said):
        deploy(stub.client)


def watch(stub: Stubber, monkeypatch: pytest.MonkeyPatch, *answers: dict[str, object]) -> list[str]:
    monkeypatch.setattr(endpoints, "POLL_SECONDS", 0)
    for answer in answers:
        stub.add_response("describe_endpoint", answer)
    heard: list[str] = []
    endpoints.wait(stub.client, "dpo", CONFIG, lambda endpoint: heard.append(endpoint.status))
    return heard


def test_every_change_is_told_until_it_is_in_service(stub: Stubber, monkeypatch) -> None:
    states = [described("Creating"), described("Creating"), described("InService")]
    assert watch(stub, monkeypatch, *states) == ["Creating", "InService"]


def test_a_failure_and_a_rollback_end_the_watch_with_their_reasons(stub: Stubber, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"endpoint dpo: Failed: no capacity; see its log: aws logs tail"):
        watch(stub, monkeypatch, described("Creating"), described("Failed", FailureReason="no capacity"))
    with pytest.raises(UserError, match=r"was rolled back; it still serves dpo-v2-g4dn-xlarge: no reason given"):
        watch(stub, monkeypatch, described("Updating"), described("InService", "dpo-v2-g4dn-xlarge"))
