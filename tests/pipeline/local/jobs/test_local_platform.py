"""A job of a local run finds what SageMaker gives it, and nothing else; what fails on AWS fails here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.executor import create_execution, run_execution
from pipeline.local.jobs import platform_variables
from pipeline.local.jobs.platform_variables import Aws
from pipeline.local.state.store import Store
from tests.paths import ROOT
from tests.pipeline import moto_server

WORLD = "import json, os, pathlib, sys; ml = pathlib.Path(os.environ['OPT_ML'])\n"
TELL = WORLD + "(ml / sys.argv[1]).write_text(json.dumps(dict(os.environ)))"
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/dpo:1"
# What a person's shell has, and no job may see.
SHELL = {
    "AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "us-west-2", "AWS_PROFILE": "me", "HF_HOME": "/home/me/hf",
    "OMP_NUM_THREADS": "3", "LC_ALL": "C.UTF-8", "SM_NUM_GPUS": "8", "MLFLOW_TRACKING_URI": "x",
}  # fmt: skip
# Where this machine's network leads: a job may go nowhere else.
NETWORK = {"HF_ENDPOINT": "https://mirror.example", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
# What a process of this machine needs to start, and what stands for the container.
PROCESS = {"PATH", "HOME", "PYTHONPATH", "OPT_ML", "LOCAL_WRITES"}
NEEDED = {"LD_LIBRARY_PATH", "TMPDIR", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
OF_IMAGES = {"PYTHONUNBUFFERED", "HF_HUB_DISABLE_TELEMETRY", "HF_HOME"}
OF_JOBS = {"AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}


def seen(names: set[str]) -> set[str]:
    """The names without those that this machine may need, and without what Python itself sets."""
    proxies = {name for name in names if name.lower().endswith("_proxy")}
    return names - proxies - NEEDED - NETWORK.keys() - {"LC_CTYPE", "SSL_CERT_DIR"}


def read(root: Path, pattern: str) -> Any:
    (file,) = root.glob(pattern)
    return json.loads(file.read_text())


def test_a_processing_job_finds_the_platforms_variables_and_the_images_alone(build, start, root, monkeypatch) -> None:
    for name, value in (SHELL | NETWORK).items():
        monkeypatch.setenv(name, value)
    step = build.processing("P", TELL, "processing/output/o/env.json", outputs=["o"])
    step["Arguments"]["AppSpecification"]["ImageUri"] = IMAGE
    assert start(build.definition(step)).status == "Succeeded"
    found = read(root, "s3/bucket/*/P/o/env.json")
    stand_ins = {"LOCAL_REGISTRY", "LOCAL_STORE", "INPUT_ORIGINS"}
    assert seen(found.keys()) == PROCESS | OF_IMAGES | OF_JOBS | stand_ins
    assert {name: found[name] for name in NETWORK} == NETWORK
    assert found["AWS_REGION"] == "eu-west-1" and found["HF_HOME"] == f"{root}/tmp/huggingface"
    assert not Path(found["HOME"]).exists()


def test_a_training_job_also_finds_its_name_and_its_arn(build, start, root, monkeypatch) -> None:
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    step = build.training("T", TELL.replace("sys.argv[1]", "'model/env.json'"))
    execution = start(build.definition(step))
    found, properties = read(root, "s3/bucket/models/*/output/model/env.json"), execution.step("T").properties
    of_image = {"CODE_VERSION", "MLFLOW_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TRITON_CACHE_DIR"}
    of_job = {"TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI"}
    assert seen(found.keys()) == PROCESS | OF_IMAGES | OF_JOBS | of_image | of_job
    assert found["TRAINING_JOB_NAME"] == properties["TrainingJobName"]
    assert found["TRAINING_JOB_ARN"] == properties["TrainingJobArn"]
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{root}/mlflow.db"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_server.running() as endpoint, moto_server.credentials() as address:
        yield Aws(endpoint, address)


def test_a_job_that_calls_aws_has_the_platforms_region_and_credentials(build, root, aws: Aws, monkeypatch) -> None:
    """The first step of every execution: boto3 does not read AWS_REGION, which the step has to hand on."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    s3 = moto_server.client(aws.endpoint, "s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="data/rows.jsonl", Body=b"{}")
    output = "/opt/ml/processing/output/champion"
    words = ["--group", "dpo", "--placeholder", "s3://bucket/x/", "--data", "s3://bucket/data/", "--output", output]
    step = build.processing("Champion", "", *words, outputs=["champion"])
    step["Arguments"]["AppSpecification"]["ContainerEntrypoint"] = ["python3", "-m", "steps.champion"]
    execution = create_execution(root, "pipe", build.definition(step), {})
    ended = run_execution(root, execution.id, repository=ROOT, aws=aws)
    assert ended.status == "Succeeded", ended.failure_reason
    assert read(root, "s3/bucket/*/Champion/champion/champion.json")["found"] == "false"


def test_without_anything_that_stands_for_aws_a_job_reaches_nobody(build, start) -> None:
    code = (
        "import os, socket, urllib.parse\n"
        "address = urllib.parse.urlsplit(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])\n"
        "try: socket.create_connection((address.hostname, address.port), timeout=5)\n"
        "except ConnectionRefusedError: assert 'AWS_ENDPOINT_URL' not in os.environ\n"
        "else: raise SystemExit('someone answers')\n"
    )
    ended = start(build.definition(build.processing("P", code)))
    assert ended.status == "Succeeded", ended.failure_reason


DOWNLOAD = (  # where the hub's library puts a model
    "import os, pathlib\n"
    "home = os.environ.get('HF_HOME') or os.path.expanduser('~/.cache/huggingface')\n"
    "os.makedirs(home + '/hub/models--x')\n"
)


def test_a_model_from_the_hub_that_would_fill_the_system_disk_fails(build, start, monkeypatch) -> None:
    assert start(build.definition(build.processing("P", DOWNLOAD))).status == "Succeeded"
    monkeypatch.setattr(platform_variables, "of_the_image", lambda name, scratch: {})  # a Dockerfile without HF_HOME
    failed = start(build.definition(build.processing("P", DOWNLOAD)))
    assert "a job may write below /opt/ml (not into its inputs) and /tmp only" in (failed.failure_reason or "")


def test_an_argument_that_became_too_long_is_refused_before_its_job(build, start, states) -> None:
    """The reason of a lookup, say: a text of any length that ends in an argument of the gate."""
    write = WORLD + "(ml / 'processing/output/o/facts.json').write_text(json.dumps({'reason': 'r' * 257}))"
    first = build.processing("Champion", write, outputs=["o"], property_files={"facts": ("o", "facts.json")})
    gate = build.processing("Gate", "", "--champion-lookup", build.json_get("Champion", "facts", "reason"))
    ended = start(build.definition(first, gate))
    assert states(ended) == {"Champion": "Succeeded", "Gate": "Failed"}
    assert ended.failure_reason == (
        "Step Gate failed: AWS would refuse CreateProcessingJob: 1 problem\n"
        "  AppSpecification.ContainerArguments[1]: 257 characters, at most 256\n"
        "It was not asked for. Fix what gives the value."
    )


LOST = [
    "open(beside, 'w')",
    "os.mkdir(beside)",
    "os.rename(ml / 'mine', beside)",
    "os.symlink('x', beside)",
    "sqlite3.connect(beside)",
    "open(os.path.expanduser('~/x'), 'w')",
    "open('x', 'w')",
    "open(os.path.join(os.environ['LOCAL_STORE'], 'x'), 'w')",
    "open(ml / 'config/processingjobconfig.json', 'a')",
    "open(ml / 'processing/input/data/rows.txt', 'r+')",
    "os.remove(ml / 'processing/input/data/rows.txt')",
]
KEPT = ["open('/dev/null', 'w')", "tempfile.mkdtemp()", "(ml / 'processing/output/o/x').write_text('x')"]


def test_what_the_container_would_lose_cannot_be_written(build, start, root, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("rows")
    Store(root).upload(tmp_path / "rows.txt", "s3://bucket/data/rows.txt")
    (tmp_path / "lines.json").write_text(json.dumps([*LOST, *KEPT]))
    code = WORLD + (
        f"import sqlite3, tempfile; beside = {str(root / 'beside')!r}; (ml / 'mine').mkdir(); refused = []\n"
        f"for line in json.load(open({str(tmp_path / 'lines.json')!r})):\n"
        "    try: eval(line)\n"
        "    except OSError as error: refused.append(line); assert error.errno == 30, error\n"
        "(ml / 'processing/output/o/refused.json').write_text(json.dumps(refused))\n"
    )
    ended = start(build.definition(build.processing("P", code, inputs={"data": "s3://bucket/data/"}, outputs=["o"])))
    assert ended.status == "Succeeded", ended.failure_reason
    assert read(root, "s3/bucket/*/P/o/refused.json") == LOST
    assert not (root / "beside").exists()


def test_a_python_that_a_job_starts_is_held_to_the_same(build, start, root) -> None:
    child = f"open({str(root / 'x')!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    ended = start(build.definition(build.processing("P", code)))
    assert (ended.status, (root / "x").exists()) == ("Failed", False)
    assert "a job may write below /opt/ml (not into its inputs)" in Path(ended.step("P").log or "").read_text()


def test_an_input_that_was_changed_unseen_fails_the_job(build, start, root, tmp_path: Path) -> None:
    """By a program that is no Python, as root, whom no file mode stops."""
    (tmp_path / "rows.txt").write_text("rows")
    Store(root).upload(tmp_path / "rows.txt", "s3://bucket/data/rows.txt")
    code = WORLD + "os.system(f'chmod u+w {ml}/input/data/a/rows.txt; echo more >> {ml}/input/data/a/rows.txt')"
    ended = start(build.definition(build.training("T", code, {"a": "s3://bucket/data/"})))
    assert "it changed its input " in (ended.failure_reason or "") and "rows.txt: write to" in ended.failure_reason
    assert Store(root).path("s3://bucket/data/rows.txt").read_text() == "rows"


def test_configuration_files_have_the_documented_members_and_the_services_formats(build, start, root) -> None:
    code = WORLD + "(ml / 'model/hps.json').write_text((ml / 'input/config/hyperparameters.json').read_text())"
    train = build.training("T", code)
    rates = {name: build.join({"Get": f"Parameters.{name}"}) for name in ("Rate", "Alpha", "Steps", "Word", "Yes")}
    train["Arguments"]["HyperParameters"] = rates
    keep = WORLD + "(ml / 'processing/output/o/all.json').write_text(json.dumps({f.name: json.loads(f.read_text())"
    keep += " for f in (ml / 'config').iterdir()}))"
    step = build.processing("P", keep, outputs=["o"], DependsOn=["T"])
    step["Arguments"]["NetworkConfig"] = {"EnableNetworkIsolation": False}
    ended = start(build.definition(train, step, Rate=5e-6, Alpha=32.0, Steps=7, Word="x", Yes=True))
    assert ended.status == "Succeeded", ended.failure_reason
    written = read(root, "s3/bucket/models/*/output/model/hps.json")
    assert written == {"Rate": "5.0E-6", "Alpha": "32.0", "Steps": "7", "Word": "x", "Yes": "true"}
    config = read(root, "s3/bucket/*/P/o/all.json")
    assert config["resourceconfig.json"] == {"current_host": "127.0.0.1", "hosts": ["127.0.0.1"]}
    job = config["processingjobconfig.json"]
    assert job["ProcessingJobName"] == ended.step("P").properties["ProcessingJobName"]
    assert "ProcessingJobArn" in job and "NetworkConfig" not in job


@pytest.mark.parametrize(
    ("kind", "file", "other"), [("training", "failure", "message"), ("processing", "message", "failure")]
)
def test_the_reason_of_a_failure_is_cut_and_read_where_the_service_reads_it(build, start, kind, file, other) -> None:
    code = WORLD + f"(ml / 'output/{other}').write_text('not read'); (ml / 'output/{file}').write_text('x' * 2000)\n"
    step = getattr(build, kind)("S", code + "sys.exit(1)")
    assert start(build.definition(step)).step("S").failure_reason == 1024 * "x"
