"""`start --local --engine docker`: the project's own images, built by a real engine, give what processes give.

The engine is the test's own (tests/docker_engine.py); where a machine cannot run one, every test here is skipped with
the reason. Bases are stand-ins for Python's and AWS's; the jobs have no network, and so contact nobody.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.local.executor import create_execution, run_execution
from pipeline.local.jobs import docker_engine as docker
from pipeline.local.jobs.nodes import StopRequest
from pipeline.local.plan import spark
from pipeline.local.plan.order import build_plan
from pipeline.local.state import records
from tests import docker_engine
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.docker]
SHORT = {"MaxSteps": 3, "LearningRate": 5e-3, "RewardAccuracyThreshold": 0}
VOLATILE = ("execution_arn", "adapter_uri", "manifest_sha256", "adapter_manifest_sha256")  # which name folders


@pytest.fixture(scope="module")
def engine() -> Iterator[dict[str, str]]:
    """A running engine with a plain Debian, as the variables that lead to it; its images go with it."""
    with tempfile.TemporaryDirectory(prefix="dpo-docker-", ignore_cleanup_errors=True) as folder:
        try:
            with docker_engine.running(Path(folder)) as host:
                docker_engine.make_bare(host, Path(folder))
                yield host
        except docker_engine.Unavailable as reason:
            pytest.skip(f"no Docker engine here: {reason}")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart, its containers without a network."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "recipes").mkdir()
    for name in ("account.yaml", "quickstart.yaml", "recipes/quickstart.yaml"):
        text = (ROOT / "configs" / name).read_text()
        (folder / name).write_text(text.replace("../steps/quickstart", f"{ROOT}/steps/quickstart"))
    with open(folder / "account.yaml", "a") as account:
        account.write("security: {network_isolation: true}\n")
    return folder / "quickstart.yaml"


@pytest.fixture(scope="module")
def images(run, engine: dict[str, str], settings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Both images, built side by side by `images build`; the index of torch is one that needs no network."""
    try:
        docker_engine.make_base(engine, tmp_path_factory.mktemp("base"))
    except docker_engine.Unavailable as reason:
        pytest.skip(f"no base for the images here: {reason}")
    given = ("--build-arg", f"BASE_IMAGE={docker_engine.BASE}", "--build-arg", "TORCH_INDEX=file:///nowhere")

    def build(name: str) -> subprocess.CompletedProcess[str]:
        words = given if name == "processing" else given[:2]
        return run("pipeline.py", "images", "build", name, *words, "--settings", settings, **engine)

    with ThreadPoolExecutor() as both:
        for done in both.map(build, ("training", "processing")):
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return engine


def quickstart(run, settings: Path, root: Path, model: Path, engine: str, **variables: str) -> dict[str, Any]:
    rows = (ROOT / "steps/quickstart/preferences.jsonl").read_text().splitlines(keepends=True)
    data = root.parent / "rows.jsonl"
    data.write_text("".join(rows[:200]))
    values = SHORT | {"ModelUri": model, "InputDataUri": data, "MinValidationRows": 1}
    words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    place = ("--local", "--local-root", root, "--settings", settings, "--engine", engine)
    done = run("pipeline.py", "start", "--wait", "--json", *place, *words, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def registered(root: Path) -> dict[str, Any]:
    (package,) = root.glob("registry/*/*/package.json")
    return json.loads(package.read_text())


def left_by(root: Path, step: str, name: str) -> Any:
    (file,) = root.glob(f"s3/*/**/runs/*/{step}/**/{name}")
    return json.loads(file.read_text())


def test_the_quickstart_in_containers_gives_what_it_gives_in_processes(
    run, images: dict[str, str], settings: Path, tiny_model: Path, tmp_path: Path
) -> None:
    began = str(int(time.time()))
    roots = {name: tmp_path / name for name in ("docker", "processes")}
    inside = quickstart(run, settings, roots["docker"], tiny_model, "docker", **images)
    outside = quickstart(run, settings, roots["processes"], tiny_model, "processes")

    events = ["events", "--since", began, "--until", str(int(time.time()) + 1), "--filter", "event=die"]
    ended = docker_engine.docker(
        images, *events, "--format", "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"
    )
    ran = [line for line in ended.splitlines() if inside["execution"] in line]
    assert sorted(line.split("-")[2] for line in ran) == ["Champion", "Gate", "Merge", "Preprocess", "Train"]
    assert all(line.endswith("-algo-1 0") for line in ran)
    assert docker_engine.docker(images, "ps", "--all", "--quiet") == ""

    packages = {name: registered(root) for name, root in roots.items()}
    facts = {name: package["CustomerMetadataProperties"] for name, package in packages.items()}
    for fact in VOLATILE:
        assert facts["docker"].pop(fact) != facts["processes"].pop(fact)
    assert facts["docker"] == facts["processes"]
    assert inside["rows"] == outside["rows"] and inside["held_out"] == outside["held_out"]
    evaluations = [left_by(root, "Train", "evaluation.json") for root in roots.values()]
    assert evaluations[0]["margins"] == evaluations[1]["margins"]
    manifests = [left_by(root, "Merge", "manifest.json") for root in roots.values()]
    weights = [{name: sha for name, sha in one["files"].items() if name.endswith(".safetensors")} for one in manifests]
    assert weights[0] == weights[1] and weights[0]


@pytest.fixture
def bare(engine: dict[str, str], repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain Python as the image of the small jobs below."""
    for name, value in engine.items():
        monkeypatch.setenv(name, value)
    docker_engine.docker(engine, "tag", docker_engine.BARE, docker.reference("image", repository))


def test_a_failing_container_tells_its_reason_and_finds_nothing_of_this_machine(
    bare, build, root: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    code = (
        "import os, pathlib, sys; ml = pathlib.Path('/opt/ml'); names = sorted(os.environ)\n"
        f"assert not os.path.exists({str(repository)!r}) and 'OPT_ML' not in names\n"
        "assert os.listdir('/sys/class/net') == ['lo']\n"
        "assert os.environ['HF_TOKEN'] == 'hf_planted' and os.environ['LOCAL_REGISTRY'] == '/opt/ml/registry'\n"
        "(ml / 'output/message').write_text('no rows in ' + os.uname().nodename); sys.exit(3)"
    )
    step = build.processing("P", code)
    step["Arguments"]["NetworkConfig"] = {"EnableNetworkIsolation": True}
    rendered = build.definition(step)
    execution = create_execution(root, "pipe", rendered, {}, engine="docker")
    ended = run_execution(root, execution.id, repository=repository)
    assert ended.failure_reason == "Step P failed: no rows in algo-1", Path(ended.step("P").log).read_text()
    assert "hf_planted" not in (records.folder(root, execution.id) / "execution.json").read_text()


def test_isolated_nodes_reach_each_other_by_name(bare, engine, build, root: Path, repository: Path) -> None:
    code = (
        "import json, pathlib, socket, time\n"
        "world = json.load(open('/opt/ml/input/config/resourceconfig.json')); hosts = world['hosts']\n"
        "if world['current_host'] == 'algo-1':\n"
        "    server = socket.create_server(('0.0.0.0', 5000)); peer, _ = server.accept()\n"
        "    word = peer.recv(5).decode(); pathlib.Path('/opt/ml/model/word').write_text(word)\n"
        "else:\n"
        "    while True:\n"  # until the other one listens; the job's time limit ends it otherwise
        "        try: peer = socket.create_connection(('algo-1', 5000), timeout=20); break\n"
        "        except OSError: time.sleep(0.2)\n"
        "    peer.sendall(b'hello')\n"
    )
    rendered = build.definition(build.training("T", code, nodes=2, arguments={"EnableNetworkIsolation": True}))
    execution = create_execution(root, "pipe", rendered, {}, engine="docker")
    ended = run_execution(root, execution.id, repository=repository)
    assert ended.status == "Succeeded", Path(ended.step("T").log).read_text()
    (word,) = root.glob("s3/**/model/word")
    assert word.read_text() == "hello"
    assert "pipelines-" not in docker_engine.docker(engine, "network", "ls")


def test_a_stop_ends_the_container_which_saves_first(
    bare, engine, build, root: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "def save(*_): pathlib.Path('/opt/ml/checkpoints/saved').write_text('1'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save); print('step=1/2', flush=True); time.sleep(60)\n"
    )
    step = build.training("T", code, checkpoints="s3://bucket/run/", metrics={"step": r"step=(\d+)"})
    execution = create_execution(root, "pipe", build.definition(step), {}, engine="docker")
    stop = StopRequest()
    monkeypatch.setattr("pipeline.local.executor.stop_on_signals", lambda: nullcontext(stop))

    def ask_once_it_runs() -> None:
        log = records.job_folder(root, execution.id, "T") / "log.txt"
        while not log.is_file() or "step=1/2" not in log.read_text():
            time.sleep(0.1)
        stop.ask()

    threading.Thread(target=ask_once_it_runs, daemon=True).start()
    ended = run_execution(root, execution.id, repository=repository)
    assert ended.status == "Stopped" and (root / "s3/bucket/run/saved").read_text() == "1"
    assert docker_engine.docker(engine, "ps", "--all", "--quiet") == ""


def test_what_containers_cannot_run_is_said_before_anything_is(
    bare, build, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark, "problems", list)  # whether this machine has Java is not the question
    lonely = build.processing("P", "")
    lonely["Arguments"]["AppSpecification"]["ImageUri"] = "host/other:1"
    cluster = build.processing("S", "")
    cluster["Arguments"]["AppSpecification"]["ContainerEntrypoint"] = ["smspark-submit", "x.py"]
    plan = build_plan(build.definition(build.processing("Q", ""), lonely, cluster), {})
    with pytest.raises(UserError) as error:
        docker.require(plan, repository, "start it")
    assert str(error.value).splitlines() == [
        "--engine docker: 2 problems",
        "  S: Spark is not supported with --engine docker; leave --engine out",
        f"  P: there is no image of this code ({docker.reference('host/other', repository)}); build it: "
        "python pipeline.py images build",
        "Nothing was run. Fix them, then: start it",
    ]
