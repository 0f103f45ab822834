"""Building, pushing and pinning images: against moto's ECR and a stand-in for the docker command.

A real engine builds them in tests/end_to_end/test_docker.py; no registry is reached from there.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import boto3
import pytest

from pipeline.account import images
from pipeline.settings import workflow
from tests.pipeline import moto_server
from tests.pipeline.moto_server import ACCOUNT

REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "ab" * 32

# Notes every call with what it reads; knows what was built, and gives a digest to what was pushed.
STAND_IN = """#!PYTHON -IS
import json, os, pathlib, sys
home = pathlib.Path(os.environ["STAND_IN"]); words = sys.argv[1:]
stdin = sys.stdin.read() if "--password-stdin" in words else ""
with open(home / "calls", "a") as calls: calls.write(json.dumps([words, stdin]) + "\\n")
if words[0] == "build": (home / "attestations").write_text(os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS", "default"))
built, pushed = home / "built", home / "pushed"
if (home / "no-engine").exists(): sys.exit("Cannot connect to the Docker daemon. Is the docker daemon running?")
if words[0] == "build": built.open("a").write(words[words.index("--tag") + 1] + "\\n")
if words[0] == "push": pushed.open("a").write(words[1] + "\\n")
if words[0] == "pull": (home / "pulled").open("a").write(words[-1] + "\\n")
if words[:2] == ["image", "inspect"]:
    pulled = (home / "pulled").read_text().splitlines() if (home / "pulled").exists() else []
    if words[-1] in pulled: print(json.dumps(["other@x"] if (home / "odd").exists() else [
        "elsewhere/base@DIGEST", words[-1].rpartition(":")[0] + "@DIGEST"])); sys.exit()
    if words[-1].startswith("local/"): print("[]"); sys.exit()
    known = built.read_text().splitlines() if built.exists() else []
    if words[-1] not in known: sys.exit(1)
    digests = [words[-1].rpartition(":")[0] + "@DIGEST"] if pushed.exists() and words[-1] in pushed.read_text() else []
    print(json.dumps(digests) if "RepoDigests" in words[3] else os.environ.get("ARCHITECTURE", "amd64"))
""".replace("DIGEST", DIGEST).replace("PYTHON", sys.executable)


@pytest.fixture(scope="module")
def endpoint():
    with moto_server.running() as address:
        yield address


@pytest.fixture
def configs(tmp_path: Path, root: Path) -> Path:
    """The shipped quickstart in moto's account."""
    folder = tmp_path / "configs"
    (folder / "recipes").mkdir(parents=True)
    for name in ("account.yaml", "quickstart.yaml", "recipes/quickstart.yaml"):
        text = (root / "configs" / name).read_text().replace("111122223333", ACCOUNT)
        (folder / name).write_text(text.replace("../steps/quickstart", str(root / "steps/quickstart")))
    return folder


@pytest.fixture
def call(forked, tmp_path: Path, endpoint: str, configs: Path):
    """`images …` with the stand-in first on the path."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    world = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "STAND_IN": str(tmp_path), "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }  # fmt: skip
    return lambda *words, **more: forked(
        "pipeline.py", "images", *words, "--settings", configs / "quickstart.yaml", **world | more
    )


def calls(folder: Path) -> list[tuple[list[str], str]]:
    return [tuple(json.loads(line)) for line in (folder / "calls").read_text().splitlines()]


def made_repositories(endpoint: str, *names: str, kind: str = "application/vnd.oci.image.manifest.v1+json") -> None:
    """New repositories, each with what the stand-in for docker only claims to push: a manifest of this media type."""
    ecr = boto3.client(
        "ecr", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    )
    for name in names:
        if name in {found["repositoryName"] for found in ecr.describe_repositories()["repositories"]}:
            ecr.delete_repository(repositoryName=name, force=True)
        ecr.create_repository(repositoryName=name)
        ecr.put_image(repositoryName=name, imageManifest=json.dumps({"mediaType": kind}), imageDigest=DIGEST)


def test_build_logs_in_to_the_base_and_tags_with_the_code(call, configs: Path, tmp_path: Path, root: Path) -> None:
    done = call("build")
    assert done.returncode == 0, done.stderr
    version = workflow.load(configs / "quickstart.yaml").code_version
    made = [(words, stdin) for words, stdin in calls(tmp_path) if words[0] in ("login", "build")]
    (login, password), (training, _), (processing, _) = made
    pulled = [words[-1] for words, _ in calls(tmp_path) if words[0] == "pull"]
    for words, base in zip((training, processing), pulled, strict=True):  # what the tag is now, and no later one
        by_digest = f"{base.rpartition(':')[0]}@{DIGEST}"
        assert f"BASE_IMAGE={by_digest}" in words and f" on {by_digest}\n" in done.stderr
        labels = {words[at + 1] for at, word in enumerate(words) if word == "--label"}
        start = "org.opencontainers.image.base"
        assert labels == {f"{start}.name={base}", f"{start}.digest={DIGEST}"}
    assert login[-1] == "763104351884.dkr.ecr.us-east-1.amazonaws.com" and login[1:3] == ["--username", "AWS"]
    assert password and password not in json.dumps([words for words, _ in made]) + done.stdout + done.stderr
    assert training[-1] == str(root) and f"{REGISTRY}/dpo-training:{version}" in training
    assert processing[2] == str(root / "containers/processing/Dockerfile")
    assert f"CODE_VERSION={version}" in processing
    # One image for SageMaker's machines, without the record beside it that would make an index of it.
    assert all(words[words.index("--platform") + 1] == "linux/amd64" for words in (training, processing))
    assert (tmp_path / "attestations").read_text() == "1"
    assert done.stdout.startswith("push them: python pipeline.py images push --settings ")


def test_a_base_that_was_made_here_has_no_digest_and_needs_no_registry(call, tmp_path: Path) -> None:
    done = call("build", "training", "--build-arg", "BASE_IMAGE=local/base:1", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert [words[0] for words, _ in calls(tmp_path)] == ["version", "image", "build"]
    assert "BASE_IMAGE=local/base:1" in calls(tmp_path)[-1][0]
    assert " on local/base:1, which was made on this machine and has no digest\n" in done.stderr


def test_a_base_of_another_registry_needs_no_aws_and_one_by_digest_stays(call, tmp_path: Path) -> None:
    given = f"BASE_IMAGE=registry.test/base@{DIGEST}"
    done = call("build", "training", "--build-arg", given, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert [words[0] for words, _ in calls(tmp_path)] == ["version", "build"] and given in calls(tmp_path)[-1][0]
    (tmp_path / "odd").touch()
    done = call("build", "processing")
    assert done.returncode == 1
    assert "python:3.11-slim: docker knows no digest of it after pulling it; name it by its digest:" in done.stderr


def test_push_pins_the_digest_on_its_line_and_leaves_the_rest(call, configs: Path, endpoint: str) -> None:
    made_repositories(endpoint, "dpo-training", "dpo-processing")
    account = configs / "account.yaml"
    account.write_text(account.read_text().replace("dpo-training:1", 'dpo-training:1  # mine: "kept"'))
    before = account.read_text()
    assert call("build").returncode == 0
    done = call("push")
    assert done.returncode == 0, done.stderr
    expected = before
    for name in ("training", "processing"):
        expected = expected.replace(f"/dpo-{name}:1", f"/dpo-{name}@{DIGEST}")
    assert account.read_text() == expected
    line = before.splitlines().index(next(row for row in before.splitlines() if "dpo-training:1" in row)) + 1
    old = f"{REGISTRY}/dpo-training:1\n  -> {REGISTRY}/dpo-training@{DIGEST}"
    assert f"account.yaml line {line}  training: {old}\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("deploy them: python pipeline.py upsert --settings ")
    assert "training has this digest already" in call("push").stdout


def test_every_way_that_fails_is_one_line_with_the_next_command(call, tmp_path: Path, configs: Path) -> None:
    def said(*words: str, **more: str) -> str:
        done = call(*words, **more)
        assert (done.returncode, done.stdout) == (1, "") and len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr

    assert "is not built; build it: python pipeline.py images build --settings " in said("push")
    assert "there is no such image; there are training, processing, spark" in said("build", "serving")
    assert "--build-arg belongs to build" in said("push", "--build-arg", "A=B")
    (tmp_path / "no-engine").touch()
    text = said("build")
    assert text.startswith("error: docker: no engine answers (Cannot connect to the Docker daemon.")
    assert "DOCKER_HOST, then: python pipeline.py images build --settings " in text
    assert "there is no such program here; install Docker Engine, then: " in said("build", PATH=str(tmp_path))


def test_an_image_for_other_machines_is_not_pushed(call) -> None:
    assert call("build", "spark", "--build-arg", "BASE_IMAGE=local/base:1").returncode == 0
    done = call("push", "spark", ARCHITECTURE="arm64")
    assert done.returncode == 1
    assert "is built for arm64, and SageMaker's instances are amd64; build it again: python pipeline.py" in done.stderr


@pytest.mark.parametrize("kind", images.INDEXES)
def test_an_index_of_images_is_not_pinned(call, endpoint: str, configs: Path, kind: str) -> None:
    made_repositories(endpoint, "dpo-processing", kind=kind)
    before = (configs / "account.yaml").read_text()
    assert call("build", "processing").returncode == 0
    done = call("push", "processing")
    assert done.returncode == 1 and (configs / "account.yaml").read_text() == before
    assert (
        f"what was pushed is an index of images ({kind}), which SageMaker refuses; remove it: aws ecr " in done.stderr
    )
    assert "then build it again: python pipeline.py images build processing" in done.stderr


def test_a_repository_that_is_not_there_says_how_to_make_it(call) -> None:
    assert call("build", "spark", "--build-arg", "BASE_IMAGE=local/base:1").returncode == 0
    done = call("push", "spark")
    assert done.returncode == 1
    assert f"account {ACCOUNT} has no repository dpo-spark in us-east-1; make it: " in done.stderr
    assert "python pipeline.py bootstrap" in done.stderr and "aws ecr create-repository" in done.stderr


@pytest.mark.parametrize(
    ("uri", "repository"),
    [
        ("host:5000/team/image", "host:5000/team/image"),
        ("host:5000/team/image:1.2", "host:5000/team/image"),
        (f"{REGISTRY}/dpo@{DIGEST}", f"{REGISTRY}/dpo"),
        (f"image:1@{DIGEST}", "image"),
    ],
)
def test_a_repository_is_an_image_without_tag_and_digest(uri: str, repository: str) -> None:
    assert images.repository(uri) == repository
