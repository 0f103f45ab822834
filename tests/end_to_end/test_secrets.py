"""A planted secret, searched for in everything that a training and a whole pipeline leave, print or put on a command
line."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from pipeline.local.jobs.platform_variables import Aws, of_the_platform
from tests.pipeline import moto_server

pytestmark = pytest.mark.slow
PLANTED = "Planted4Secret7Value"
MOTO = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Tracker(BaseHTTPRequestHandler):
    """A tracking server that notes who asks and refuses everyone."""

    asked: ClassVar[set[str | None]] = set()

    def do_GET(self) -> None:
        self.asked.add(self.headers["Authorization"])
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def tracker() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Tracker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def manager() -> Iterator[tuple[str, str]]:
    """(endpoint, ARN) of a secret that holds name, password and keys."""
    with moto_server.running() as endpoint:
        value = {"name": "me", "password": PLANTED, "wandb": PLANTED + 20 * "0", "hub": f"hf_{PLANTED}"}
        client = moto_server.client(endpoint, "secretsmanager")
        yield endpoint, client.create_secret(Name="dpo", SecretString=json.dumps(value))["ARN"]


@pytest.fixture
def command_lines() -> Iterator[set[bytes]]:
    """Every command line of this machine that had the secret while the test ran."""
    found: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = file.read_bytes()
                except OSError:  # the process has ended
                    continue
                if PLANTED.encode() in words:
                    found.add(words)

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    over.set()
    thread.join()


def holding(folder: Path) -> list[str]:
    """The files below a folder that hold the secret, as it stands or as a header has it."""
    header = base64.b64encode(f"me:{PLANTED}".encode())
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 20
    return [str(file) for file in files if any(word in file.read_bytes() for word in (PLANTED.encode(), header))]


def test_a_training_that_fetches_its_secrets_leaves_them_nowhere(
    forked,
    tmp_path: Path,
    tiny_model: Path,
    pairs: Path,
    few_questions: Path,
    tracker: str,
    manager,
    command_lines: set[bytes],
) -> None:
    endpoint, arn = manager
    ml = tmp_path / "ml"
    for name in ("input/config", "input/data/config", "model", "home"):
        (ml / name).mkdir(parents=True)
    recipe = (few_questions / "recipes" / "quickstart.yaml").read_text()
    recipe = recipe.replace("per_device_train_batch_size: 8", "per_device_train_batch_size: 2")
    (ml / "input/data/config/args.yaml").write_text(recipe + f"mlflow_uri: {tracker}\nwandb_project: dpo\n")
    for channel, rows in (("train", 40), ("validation", 16)):
        (ml / "input/data" / channel).mkdir()
        few = pq.read_table(pairs / channel).slice(0, rows)
        pq.write_table(few, ml / "input/data" / channel / "part-00000.parquet")
    hyperparameters = {"model_id": str(tiny_model), "max_steps": "2", "learning_rate": "1e-3"}
    (ml / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    (ml / "input/config/resourceconfig.json").write_text(
        json.dumps({"hosts": ["127.0.0.1"], "current_host": "127.0.0.1", "network_interface_name": "lo"})
    )
    keys = {
        "HF_TOKEN": "hub",
        "WANDB_API_KEY": "wandb",
        "MLFLOW_TRACKING_USERNAME": "name",
        "MLFLOW_TRACKING_PASSWORD": "password",
    }
    named = {f"{name}_SECRET_ARN": f"{arn}#{key}" for name, key in keys.items()}
    world = {"OPT_ML": str(ml), "HOME": str(ml / "home"), "WANDB_MODE": "offline"}
    with moto_server.credentials() as address:
        world |= of_the_platform("image", Aws(endpoint, address))
        done = forked("-m", "steps.train.launch", "--processes-per-node", "1", jobs=True, **world | named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Tracker.asked == {f"Basic {base64.b64encode(f'me:{PLANTED}'.encode()).decode()}"}  # it did arrive
    assert list(ml.rglob("offline-run-*")) and (ml / "model/report.html").is_file()
    assert PLANTED not in done.stdout + done.stderr
    assert (holding(tmp_path), command_lines) == ([], set())


def test_a_secret_that_may_not_be_read_ends_the_training_with_what_to_allow(forked, tmp_path: Path, root: Path) -> None:
    """Before any weight is loaded; here the endpoint refuses the connection."""
    (tmp_path / "output").mkdir()
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-AbCdEf"
    world = {"OPT_ML": str(tmp_path), "HF_TOKEN_SECRET_ARN": arn, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = forked("steps/train/train.py", "--config", root / "configs/recipes/quickstart.yaml", **MOTO | world)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert (tmp_path / "output/failure").read_text().startswith(f"HF_TOKEN: the secret {arn}: Could not connect")


def test_a_whole_pipeline_with_secrets_in_its_shell_leaves_them_nowhere(
    forked, tmp_path: Path, tiny_model: Path, root: Path, few_questions: Path, command_lines: set[bytes]
) -> None:
    configs, state = tmp_path / "configs", tmp_path / "state"
    shutil.copytree(few_questions, configs)
    arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:dpo-AbCdEf"
    with (configs / "account.yaml").open("a") as account:
        account.write(f"security: {{secrets: {{MLFLOW_TRACKING_PASSWORD: {arn}}}}}\n")
    rows = (root / "steps/quickstart/preferences.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(rows[:100]))
    values = {"MaxSteps": 2, "RewardAccuracyThreshold": 0, "MinValidationRows": 1, "MergeWeights": "false"}
    values |= {"ModelUri": tiny_model, "InputDataUri": tmp_path / "rows.jsonl"}
    words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    shell = dict.fromkeys(("HF_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD"), PLANTED)
    place = ("--local", "--local-root", state, "--settings", configs / "quickstart.yaml")
    done = forked("pipeline.py", "start", "--wait", "--json", *place, *words, jobs=True, **shell)
    assert done.returncode == 0, done.stderr
    assert (state / "mlflow.db").is_file() and list(state.rglob("report.html"))
    assert PLANTED not in done.stdout + done.stderr
    assert (holding(tmp_path), command_lines) == ([], set())
