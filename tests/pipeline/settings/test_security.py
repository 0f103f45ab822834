"""The account's security settings reach every job of every workflow, and say which settings they exclude."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.aws import uploads
from pipeline.checks.api_model import check_definition
from pipeline.definition.render import render
from pipeline.parameters.declared import range_problems
from pipeline.rendered import read
from pipeline.settings import workflow as settings
from pipeline.settings.assets import Asset
from pipeline.settings.security import Secrets, Security, has_local_disks
from pipeline.settings.workflow import Workflow
from pipeline.step_kit import network_and_keys
from tests.paths import ROOT
from tests.pipeline.workflows import CANDIDATES, SPARK, WORKFLOWS

VOLUME_KEY = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
OUTPUT_KEY = "66666666-7777-8888-9999-000000000000"
VPC = {"Subnets": ["subnet-0123456789abcdef0", "subnet-12345678"], "SecurityGroupIds": ["sg-0123456789abcdef0"]}
CLOSED = Security(
    subnets=VPC["Subnets"],
    security_groups=VPC["SecurityGroupIds"],
    volume_kms_key=VOLUME_KEY,
    output_kms_key=OUTPUT_KEY,
    network_isolation=True,
    encrypt_training_traffic=True,
)


def secured(workflow: Workflow, security: Security = CLOSED) -> Workflow:
    return dataclasses.replace(workflow, account=workflow.account.model_copy(update={"security": security}))


def requests(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The request of every Processing and Training step, those inside of conditions too."""
    steps = read(definition).all_steps
    return {step.name: step.arguments for step in steps if step.type in ("Processing", "Training")}


@pytest.mark.parametrize("path", [*WORKFLOWS, SPARK, CANDIDATES], ids=lambda path: path.stem)
def test_every_job_of_every_workflow_has_network_keys_and_isolation(path: Path) -> None:
    workflow = secured(settings.load(path))
    definition = json.loads(render(workflow))
    assert check_definition(definition) == []
    found = requests(definition)
    asked = {"Collect": workflow.settings.collect, "Candidates": workflow.settings.candidates}
    before = {name for name, section in asked.items() if section}
    assert set(found) == {"Preprocess", "Champion", "Train", "Gate", "Merge"} | before
    for name, request in found.items():
        training = name == "Train"
        network = request if training else request["NetworkConfig"]
        cluster = request["ResourceConfig"] if training else request["ProcessingResources"]["ClusterConfig"]
        output = request["OutputDataConfig"] if training else request["ProcessingOutputConfig"]
        instance = workflow.settings.train.instance_type if training else cluster["InstanceType"]
        assert network["VpcConfig"] == VPC, name
        assert network["EnableInterContainerTrafficEncryption"] is True, name
        assert network["EnableNetworkIsolation"] is (name != "Champion"), name
        assert output["KmsKeyId"] == OUTPUT_KEY, name
        assert cluster.get("VolumeKmsKeyId") == (None if has_local_disks(instance) else VOLUME_KEY), name
    assert not found["Champion"]["ProcessingInputs"]  # without isolation, and without data


ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:dpo/{}-AbCdEf"
KEPT = Secrets(
    HF_TOKEN=ARN.format("hub"),
    WANDB_API_KEY=ARN.format("trackers") + "#wandb",
    MLFLOW_TRACKING_PASSWORD=ARN.format("trackers") + "#mlflow",
)


@pytest.mark.parametrize(
    ("recipe", "training"),
    [
        ({}, {"HF_TOKEN"}),
        ({"wandb_project": "dpo", "mlflow_uri": "sqlite:///runs.db"}, {"HF_TOKEN", "WANDB_API_KEY"}),
        ({"mlflow_uri": "https://tracker.test"}, {"HF_TOKEN", "MLFLOW_TRACKING_PASSWORD"}),
        ({"model_uri": "s3://bucket/model/"}, set()),
    ],
)
def test_a_secret_reaches_the_jobs_that_use_it_by_its_arn(recipe: dict[str, str], training: set[str]) -> None:
    workflow = secured(settings.load(ROOT / "configs" / "qwen3-0.6b.yaml"), Security(secrets=KEPT))
    changed = dict(recipe)
    model_uri = changed.pop("model_uri", None)
    arguments = workflow.recipe.model_copy(update=changed)
    definition = json.loads(render(dataclasses.replace(workflow, recipe=arguments, model_uri=model_uri)))
    assert check_definition(definition) == []
    found = {name: request.get("Environment", {}) for name, request in requests(definition).items()}
    named = KEPT.model_dump(exclude_none=True)
    of_pipeline = {"PIPELINE_NAME": workflow.settings.pipeline_name}
    assert found["Train"] == of_pipeline | {f"{name}_SECRET_ARN": named[name] for name in training}
    of_the_hub = {f"{name}_SECRET_ARN": named[name] for name in training & {"HF_TOKEN"}}
    assert found["Champion"] == found["Merge"] == of_the_hub
    assert not any("_SECRET_ARN" in name for step in ("Preprocess", "Gate") for name in found[step])


def test_without_settings_traffic_of_processing_is_encrypted_and_nothing_else_is_asked_for() -> None:
    found = requests(json.loads(render(settings.load(SPARK))))
    assert found.pop("Train")["EnableInterContainerTrafficEncryption"] is False
    for request in found.values():
        isolation = {"EnableInterContainerTrafficEncryption": True, "EnableNetworkIsolation": False}
        assert request["NetworkConfig"] == isolation
        assert "KmsKeyId" not in json.dumps(request)


@pytest.mark.parametrize(
    ("instance", "own"),
    [
        *((f"ml.{family}.xlarge", True) for family in ("g4dn", "g5", "g6e", "p3dn", "p4de", "p5en", "m5d", "trn1")),
        *((f"ml.{family}.xlarge", False) for family in ("m5", "p3", "c5n", "t3", "r6i", "m7i-flex", "inf2")),
    ],
)  # fmt: skip
def test_instances_with_disks_of_their_own_are_known(instance: str, own: bool) -> None:
    assert has_local_disks(instance) is own


def test_an_execution_cannot_move_to_an_instance_that_takes_no_key_or_would_have_none() -> None:
    on_ebs = secured(settings.load(ROOT / "configs" / "quickstart.yaml"))
    on_nvme = secured(settings.load(ROOT / "configs" / "qwen3-0.6b.yaml"))
    assert range_problems(on_ebs, {"TrainInstanceType": "ml.p3.2xlarge"}) == []
    assert range_problems(on_ebs, {"TrainInstanceType": "ml.g5.xlarge"}) == [
        "TrainInstanceType: ml.g5.xlarge has disks of its own and takes no security.volume_kms_key; write it as "
        "train.instance_type and upsert"
    ]
    assert range_problems(on_nvme, {"TrainInstanceType": "ml.p3.2xlarge"})[0].startswith(
        "TrainInstanceType: ml.p3.2xlarge would run without security.volume_kms_key; "
    )


@pytest.mark.parametrize("folder", ["pipeline", "steps"])
def test_no_archive_is_ever_unpacked(folder: str) -> None:
    """A tar or zip file of somebody else's may write outside of its folder; none is read."""
    unpacking = re.compile(r"\.extract(all)?\(|unpack_archive|ZipFile\(|tarfile\.open\((?!.*\"w:gz\")")
    files = list((ROOT / folder).rglob("*.py"))
    assert len(files) > 50
    for path in files:
        assert not unpacking.search(path.read_text()), path


@pytest.fixture
def account(root: Path, tmp_path: Path) -> Path:
    """Copies of the account file and of a workflow on a hub model, in a folder of their own."""
    (tmp_path / "recipes").mkdir()
    for name in ("account.yaml", "qwen3-0.6b.yaml", "recipes/qwen3-0.6b.yaml"):
        (tmp_path / name).write_text((root / "configs" / name).read_text())
    return tmp_path / "account.yaml"


def problems(account: Path, *lines: str) -> list[str]:
    with open(account, "a") as file:
        file.write("security:\n" + "".join(f"  {line}\n" for line in lines))
    found = settings.inspect(account.parent / "qwen3-0.6b.yaml")[1]
    return [problem.replace(f"{account.parent}/", "") for problem in found]


def test_isolation_names_every_setting_that_needs_the_network(account: Path) -> None:
    recipe = account.parent / "recipes" / "qwen3-0.6b.yaml"
    recipe.write_text(recipe.read_text() + "mlflow_uri: https://tracker.test\nwandb_project: dpo\n")
    workflow = account.parent / "qwen3-0.6b.yaml"
    workflow.write_text(
        workflow.read_text().replace("volume_gb: 50\n\ntrain", "engine: spark\n  instance_count: 2\n\ntrain")
    )
    workflow.write_text(workflow.read_text().replace("gate:\n", "gate:\n  judge: eu.the.judge-v1:0\n"))
    assert problems(account, "network_isolation: true") == [
        f"qwen3-0.6b.yaml: {text} (the account has security.network_isolation)"
        for text in (
            "recipe's model_id: Qwen/Qwen3-0.6B is fetched from the hub; copy the model to S3 and write "
            "model_id: s3://BUCKET/MODEL/",
            "recipe's mlflow_uri: a tracking server cannot be reached; leave it out, or write none",
            "recipe's wandb_project: Weights & Biases cannot be reached; leave it out",
            "preprocess.engine: spark: its instances cannot reach each other in a Processing job; write "
            "preprocess.instance_count: 1",
            "gate.judge: Amazon Bedrock cannot be reached; leave it out",
        )
    ]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://me:planted@tracker.test", "holds a password, which would be uploaded with the recipe; keep it in "
         "Secrets Manager and name that as security.secrets.MLFLOW_TRACKING_PASSWORD"),
        ("https://planted@tracker.test", "holds a password, which would be uploaded"),
        ("https://tracker.test/ml?token=planted", "https://tracker.test/ml: leave out what stands behind ? or #"),
        ("https://tracker.test#planted", "https://tracker.test: leave out what stands behind ? or #"),
        ("https://me:plan/ted@tracker.test", "is not the address of a server: "),
        ("https://me:plan?ted@tracker.test", "https://tracker.test: leave out what stands behind ? or #"),
        ("https://[planted", "is not the address of a server: "),
        ("postgresql://me:planted@host/db?password=planted", "postgresql://host/db: write sqlite:///FILE, "),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket: is not the ARN of a tracking server"),
        ("sqlite:///runs.db", "a file is lost with the training's job; leave it out "),
    ],
)  # fmt: skip
def test_a_tracker_that_a_pipeline_cannot_use_or_would_tell_a_secret_is_refused_without_the_secret(
    account: Path, uri: str, said: str
) -> None:
    recipe = account.parent / "recipes" / "qwen3-0.6b.yaml"
    recipe.write_text(recipe.read_text() + f"mlflow_uri: {json.dumps(uri)}\n")
    (problem,) = problems(account, "network_isolation: false")
    assert problem.startswith(f"qwen3-0.6b.yaml: recipe's mlflow_uri: {said}")
    assert "planted" not in problem and "ted@" not in problem


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("subnets: [subnet-12345678]", "security_groups: a VPC wants both: name subnets and security_groups"),
        ("subnets: [vpc-12345678]", "subnets.0: must be String should match pattern"),
        ("output_kms_key: alias/mine", "output_kms_key: must be String should match pattern"),
        ("secrets: {HF_TOKEN: hf_abc}", "secrets.HF_TOKEN: must be String should match pattern"),
        ("secrets: {OPENAI_API_KEY: x}", "secrets.OPENAI_API_KEY: unknown key"),
        ("network_isolatoin: true", "network_isolatoin: unknown key; did you mean network_isolation?"),
    ],
)
def test_a_wrong_security_setting_is_named_with_its_place(account: Path, line: str, said: str) -> None:
    (found,) = problems(account, line)
    assert f"security.{said}" in found and found.startswith("account.yaml: ")


def test_uploads_are_encrypted_with_the_key_for_outputs(aws, tmp_path: Path) -> None:
    import boto3

    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="keyed")
    (tmp_path / "rows.jsonl").write_text("{}")
    for security, key in ((CLOSED, "with"), (Security(), "without")):
        asset = Asset(f"s3://keyed/{key}", tmp_path / "rows.jsonl")
        uploads.upload_assets(s3, [asset], network_and_keys.upload(security))
    kept = s3.head_object(Bucket="keyed", Key="with")
    assert (kept["ServerSideEncryption"], kept["SSEKMSKeyId"]) == ("aws:kms", OUTPUT_KEY)
    assert s3.head_object(Bucket="keyed", Key="without").get("SSEKMSKeyId") is None
