"""`check --account` against moto's server: an account that has everything, and one with problems planted in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.account_check import needs
from pipeline.aws.client import session
from pipeline.cli import main
from pipeline.commands.shared import check_account
from pipeline.errors import UserError
from pipeline.settings import workflow as workflow_settings
from tests.paths import ROOT
from tests.pipeline import moto_server
from tests.pipeline.account_check import moto_account
from tests.pipeline.account_check.moto_account import QUOTAS, Made
from tests.pipeline.iam import of_role
from tests.pipeline.moto_server import ACCOUNT, BUCKET

READ_ONLY = ("Get", "List", "Describe", "Simulate", "Head", "BatchGet")
INDEX = "application/vnd.oci.image.index.v1+json"
SERVER = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:mlflow-tracking-server/dpo-tracking"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo/trackers-GhIjKl"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/0a1b2c3d"
REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moto_server.write_settings(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def account(patch: pytest.MonkeyPatch, settings: Path) -> Iterator[Made]:
    moto_account.fill(patch, QUOTAS | {"ml.p3.2xlarge for training job usage": 0})
    with moto_server.running() as endpoint:
        for name, value in moto_server.access(endpoint, settings.parent).items():
            patch.setenv(name, value)
        yield moto_account.make(endpoint, workflow_settings.load(settings).code_version)


@pytest.fixture
def operations() -> list[str]:
    """The AWS operations that a run calls, by the events of its session."""
    found: list[str] = []
    session.cache_clear()
    session("us-east-1", None).events.register("before-call", lambda model, **_: found.append(model.name))
    return found


@pytest.fixture
def check(account: Made, operations: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Run it in this process: (exit code, stdout, stderr)."""

    def call(settings: Path, *words: str) -> tuple[int, str, str]:
        code = main(["check", "--account", "--settings", str(settings), *words])
        done = capsys.readouterr()
        return code, done.out, done.err

    return call


def test_an_account_that_the_stack_made_passes_and_is_only_read(
    check: Any, settings: Path, operations: list[str]
) -> None:
    code, out, err = check(settings, "--json")
    found = json.loads(out)["account"]
    assert code == 0, err
    assert [(one["level"], one["subject"]) for one in found["findings"]] == [
        ("warning", "images"),
        ("warning", "images"),
        ("note", "pipeline"),
    ], found
    assert all("named by its tag 1" in one["what"] for one in found["findings"][:2])
    assert found["looks"]["role"] > 12 and found["caller"].startswith(f"arn:aws:sts::{ACCOUNT}:")
    assert len(operations) > 25
    assert [name for name in operations if not name.startswith(READ_ONLY)] == []
    assert "GetSecretValue" not in operations


@pytest.fixture(scope="module")  # moto's EC2 takes seconds to load: subnets are the Stubber's
def broken(tmp_path_factory: pytest.TempPathFactory, account: Made) -> Path:
    """A workflow in which a dozen things are wrong, and the account that has them."""
    folder = tmp_path_factory.mktemp("broken")
    settings = moto_server.write_settings(folder)
    iam, s3 = account.client("iam"), account.client("s3")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="dpo-broken", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    for owner in needs.ROLES:  # one role for all, which none of them forbids to write another's results
        statements = [one for one in of_role(owner) if one["Effect"] == "Allow"]
        text = json.dumps({"Version": "2012-10-17", "Statement": statements})
        text = text.replace('"sagemaker:CreateTrainingJob", ', "")
        iam.put_role_policy(RoleName="dpo-broken", PolicyName=owner, PolicyDocument=text)
    s3.create_bucket(Bucket="dpo-elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    account.image("dpo-index", "1", kind=INDEX)
    for name in ("config.json", "model-1.safetensors"):
        s3.put_object(Bucket=BUCKET, Key=f"models/cut/{name}", Body=b"version https://git-lfs")
    edits = {
        "account.yaml": {
            "role/dpo-pipeline-execution": "role/dpo-broken",
            f"bucket: {BUCKET}": "bucket: dpo-elsewhere",
            "dpo-training:1": "dpo-training:2",
            f"{REGISTRY}/dpo-processing:1": f"{REGISTRY}/dpo-index:1",
            "images:\n": f"""security:
  output_kms_key: {KEY}
  secrets:
    WANDB_API_KEY: {SECRET}
images:
""",
        },
        "quickstart.yaml": {
            "data: ": f"data: s3://{BUCKET}/preferences/ # ",
            "instance_type: ml.m5.xlarge": "instance_type: ml.p3.2xlarge\n  keep_alive_minutes: 10",
        },
        "recipes/quickstart.yaml": {
            "models/tiny/": "models/cut/",
            "lora_r: 16": f"lora_r: 16\nwandb_project: dpo\nmlflow_uri: {SERVER}",
        },
    }
    for name, changes in edits.items():
        text = re.sub(r"roles:.*\n(  .*\n)+", "", (folder / name).read_text())
        for before, after in changes.items():
            assert before in text, before
            text = text.replace(before, after)
        (folder / name).write_text(text)
    return settings


PLANTED = {
    "role": [
        "SageMaker may not assume the role dpo-broken: no statement of its trust policy allows the service sagemaker.",
        "may not do sagemaker:CreateTrainingJob on arn:aws:sagemaker:us-east-1:123456789012:training-job/pipelines-*",
        "s3:AbortMultipartUpload, s3:PutObject on arn:aws:s3:::dpo-elsewhere/dpo/dpo-quickstart/runs/*/Merge/*",
    ],
    "bucket": [
        "the bucket lies in eu-west-1, and SageMaker reads and writes only buckets of its own region, us-east-1"
    ],
    "images": [f"{REGISTRY}/dpo-training:2 is not in its repository", f"it is an index of images ({INDEX})"],
    "model": [
        "models/cut/: no tokenizer: tokenizer.json is missing",
        "model-1.safetensors: only 23 bytes, which is a pointer of Git LFS or a cut-off upload",
    ],
    "data": ["preferences/: there is no object"],
    "secrets": [f"there is no secret {SECRET}"],
    "quotas": ["the quota 'ml.p3.2xlarge for training job usage' is 0, and Train needs 1"],
    "network": [f"there is no key {KEY}"],
}


def require_readme(out: str) -> None:
    """The README's example is of this run, its long lines cut."""
    section = (ROOT / "pipeline" / "README.md").read_text().partition("## The account, before the first run")[2]
    shown = section.partition("```text\n")[2].partition("\n```")[0].splitlines()
    printed = out.splitlines()
    other = [line for line in shown if not any(one.startswith(line.removesuffix(" …")) for one in printed)]
    assert len(shown) > 20 and other == []


def test_everything_that_is_wrong_is_named_in_one_output(check: Any, broken: Path, operations: list[str]) -> None:
    code, out, err = check(broken)
    assert code == 1
    assert len(operations) > 35 and [name for name in operations if not name.startswith(READ_ONLY)] == []
    errors = re.findall(r"^ERROR +(\w+): (.+)\n +(.+)\n +fix: (.+)$", out, re.MULTILINE)
    for subject, texts in PLANTED.items():
        for text in texts:
            assert [what for name, _, what, _ in errors if name == subject and text in what], (subject, text, out)
    assert all(fix for *_, fix in errors)
    require_readme(out.replace(str(broken.parent), "configs").replace(" --settings configs/quickstart.yaml", ""))
    assert f"bucket: {broken.parent}/account.yaml line 7  bucket\n" in out
    assert f"{SERVER} does not run (Stopped): the training goes on and tracks nothing" in out
    assert "the quota 'ml.p3.2xlarge for training warm pool usage'" not in out  # it is not listed, which is said
    count = re.search(r"^(\d+) errors, ", out, re.MULTILINE)
    assert count and int(count[1]) == len(errors) >= 15
    assert f"  {count[1]} in the account would let an execution fail; they are shown above" in err.splitlines()
    assert err.endswith(f"\nFix them, then: python pipeline.py check --account --settings {broken}\n")


def test_credentials_of_another_account_are_said_once(check: Any, settings: Path, operations: list[str]) -> None:
    account = settings.parent / "account.yaml"
    text = account.read_text()
    try:
        account.write_text(text.replace(f'account_id: "{ACCOUNT}"', 'account_id: "999999999999"'))
        code, out, _ = check(settings)
    finally:
        account.write_text(text)
    assert code == 1 and out.count("\nERROR") == 1
    assert "the settings name account 999999999999, and the credentials are arn:aws:sts::123456789012:" in out
    assert operations == ["GetCallerIdentity"]


@pytest.mark.parametrize("as_json", [True, False])
def test_without_credentials_the_definitions_problems_are_shown_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, settings: Path, as_json: bool
) -> None:
    def refused(*words: Any) -> Any:
        raise UserError("AWS: no complete credentials found")

    monkeypatch.setattr(check_account, "look", refused)
    monkeypatch.setattr("pipeline.definition.kept.Kept.problems", ["Train: wrong"])
    assert main(["check", "--account", "--settings", str(settings), *(["--json"] if as_json else [])]) == 1
    done = capsys.readouterr()
    assert "  Train: wrong\n  AWS: no complete credentials found\n" in done.err
    if as_json:
        assert json.loads(done.out)["problems"] == ["Train: wrong", "AWS: no complete credentials found"]


def test_a_recipe_alone_has_no_account(capsys: pytest.CaptureFixture[str], settings: Path) -> None:
    assert main(["check", "--account", "--recipe", str(settings.parent / "recipes/quickstart.yaml")]) == 1
    assert "--account: a recipe needs none" in capsys.readouterr().err
