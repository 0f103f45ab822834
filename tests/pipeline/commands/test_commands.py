"""The command line as a user meets it: verbs, messages, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.verbs import verbs
from tests.paths import ROOT
from tests.steps.train.models import QWEN3_0_6B

VERBS = [
    "recipe", "check", "start", "stop", "retry", "status", "list", "describe", "report", "logs", "models",
    "compare", "try",
    "approve", "reject", "deploy", "undeploy", "feedback", "forget", "schedule", "schedules", "unschedule", "trigger",
    "triggers", "untrigger", "bootstrap", "images", "upsert", "show", "definition", "delete", "teardown", "env",
]  # fmt: skip
FLAGS = {
    "recipe": {"--from", "--output"},
    "check": {
        "--settings",
        "--recipe",
        "--instance-type",
        "--instance-count",
        "--model-config",
        "--rows",
        "--prices",
        "--account",
        "--json",
    },
    "definition": {"--settings", "--output"},
    "show": {"--settings"},
    "images": {"--build-arg", "--settings"},
    "upsert": {"--settings", "--yes", "--json"},
    "start": {
        "--set", "--wait", "--name", "--token", "--max-cost", "--prices", "--deployed", "--local", "--local-root",
        "--engine", "--settings", "--json",
    },
    "status": {"--wait", "--local", "--local-root", "--settings", "--json"},
    "list": {"--local", "--local-root", "--settings", "--json"},
    "describe": {"--local", "--local-root", "--settings", "--json"},
    "report": {
        "--output", "--open", "--all", "--follow", "--local", "--local-root", "--settings", "--json",
    },
    "logs": {"--step", "--follow", "--local", "--local-root", "--settings", "--json"},
    "stop": {"--local", "--local-root", "--settings", "--json"},
    "retry": {"--local", "--local-root", "--settings", "--json"},
    "delete": {"--settings", "--yes", "--json"},
    "models": {"--group", "--link", "--local", "--local-root", "--settings", "--json"},
    "approve": {"--note", "--group", "--local", "--local-root", "--settings", "--json"},
    "reject": {"--note", "--group", "--local", "--local-root", "--settings", "--json"},
    "compare": {"--plot", "--answers", "--group", "--local", "--local-root", "--settings", "--json"},
    "try": {
        "--system", "--tools", "--max-new-tokens", "--temperature", "--base", "--verify", "--group", "--local",
        "--local-root", "--settings", "--json",
    },
    "deploy": {"--instance-type", "--name", "--capture", "--wait", "--unverified", "--group", "--settings", "--json"},
    "undeploy": {"--settings", "--json"},
    "feedback": {
        "--up", "--down", "--correct", "--reason", "--by", "--local", "--local-root", "--settings", "--json",
    },
    "forget": {"--with-answers", "--dry-run", "--yes", "--local", "--local-root", "--settings", "--json"},
    "schedule": {
        "--cron", "--rate", "--timezone", "--name", "--set", "--flexible-minutes", "--settings", "--json",
    },
    "schedules": {"--settings", "--json"},
    "unschedule": {"--settings"},
    "trigger": {"--on-new-data", "--on-model-approved", "--quiet-minutes", "--set", "--settings", "--json"},
    "triggers": {"--settings", "--json"},
    "untrigger": {"--settings"},
    "bootstrap": {"--set", "--stack", "--yes", "--settings", "--json"},
    "teardown": {"--stack", "--yes", "--settings"},
    "env": {"--local-root", "--settings", "--json"},
}  # fmt: skip


def test_the_command_line_has_these_verbs_and_flags_and_no_others() -> None:
    assert list(verbs()) == VERBS
    commands = {name: verb.loaded() for name, verb in verbs().items()}
    for verb, command in commands.items():
        flags = {name for option in command.params for name in option.opts if name.startswith("--")}
        assert flags == FLAGS[verb], verb


def test_check_says_that_a_sound_workflow_is_sound(forked, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(QWEN3_0_6B))
    done = forked("pipeline.py", "check", "--model-config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("configs/quickstart.yaml: no problems\n")


def test_check_lists_all_problems_of_a_broken_file_and_fails(forked, root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    text = (root / "configs" / "quickstart.yaml").read_text()
    broken.write_text(text.replace("ml.m5.xlarge", "m5").replace("package_group:", "packagegroup:"))
    done = forked("pipeline.py", "check", "--settings", broken)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {broken}: 3 problems\n")
    for part in ("train.instance_type: must", "unknown key; did you mean package_group?", "is required and missing"):
        assert part in done.stderr
    assert done.stderr.endswith(f"Fix them, then: python pipeline.py check --settings {broken}\n")
    asked = forked("pipeline.py", "check", "--settings", broken, "--json")
    assert len(json.loads(asked.stdout)["problems"]) == 3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("LearnRate=1", "LearnRate: no such parameter; did you mean LearningRate?"),
        ("LossType=sigmod", "LossType: 'sigmod' is not one of"),
        ("MaxSteps=many", "MaxSteps: 'many' is not an Integer"),
        ("Beta=0", "Beta: must be greater than 0"),
        ("MergeWeights=yes", "MergeWeights: 'yes' is not one of true, false"),
        ("InputDataUri=", "InputDataUri: must not be empty"),
        ("InputDataUri=no/such/file", "InputDataUri: no/such/file: there is no such file or folder"),
        ("Beta", "--set Beta: must look like Name=Value"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_starts(forked, tmp_path: Path, assignment: str, message: str) -> None:
    done = forked("pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--wait", "--set", assignment)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state" / "executions").exists()


def test_a_recipe_is_not_checked_on_an_instance_type_that_there_is_not(forked) -> None:
    recipe = "configs/recipes/qwen3-8b.yaml"
    done = forked("pipeline.py", "check", "--recipe", recipe, "--instance-type", "ml.g5.12xlage")
    said = "'ml.g5.12xlage' is no TrainingInstanceType that AWS knows; did you mean ml.g5.12xlarge"
    assert done.returncode == 1 and done.stderr.startswith(f"error: --instance-type: {said}")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_a_folder_that_is_no_usable_model_is_refused_by_what_it_lacks(forked, tmp_path: Path, missing: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} - {missing}:
        (model / name).write_text("{}")
    done = forked("pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--set", f"ModelUri={model}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {model}: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_error_without_credentials_is_one_line_with_the_next_command(forked, tmp_path: Path) -> None:
    nothing = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    done = forked("pipeline.py", "upsert", **nothing)
    assert done.returncode == 1
    assert done.stderr.startswith("error: AWS: no complete credentials found")
    assert done.stderr.endswith("then: python pipeline.py upsert\n")
    assert "Traceback" in forked("pipeline.py", "upsert", "--debug", **nothing).stderr


def test_containers_are_for_local_runs_and_want_an_engine(forked, tmp_path: Path) -> None:
    done = forked("pipeline.py", "start", "--engine", "docker")
    assert done.stderr == "error: --engine belongs to --local; add --local, or leave it out\n"
    nowhere = {"PATH": str(tmp_path)}
    done = forked(
        "pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--engine", "docker", **nowhere
    )
    again = f"python pipeline.py start --local --local-root {tmp_path}/state --engine docker"
    assert done.stderr == f"error: docker: there is no such program here; install Docker Engine, then: {again}\n"
    assert not (tmp_path / "state").exists()


def test_a_file_is_no_local_root_and_a_step_no_execution(forked, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert forked("pipeline.py", "list", "--local", "--local-root", tmp_path / "file").returncode == 2
    done = forked("pipeline.py", "logs", "Train", "--local")
    meant = "python pipeline.py logs --step Train --local"
    assert (done.returncode, done.stderr) == (1, f"error: Train: is no execution; if a step is meant: {meant}\n")


def test_a_stream_that_the_shell_closed_stops_no_command(tmp_path: Path) -> None:
    command = f'{sys.executable} pipeline.py list --local --local-root "{tmp_path}"'
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(f"{command} {closed}", shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_empty_local_root_says_what_to_run(forked, tmp_path: Path) -> None:
    options = ("--local", "--local-root", tmp_path)
    assert "python pipeline.py start --local" in forked("pipeline.py", "list", *options).stdout
    assert json.loads(forked("pipeline.py", "models", *options, "--json").stdout) == []
    done = forked("pipeline.py", "status", *options)
    start = f"python pipeline.py start --local --local-root {tmp_path}"
    assert (done.returncode, done.stderr) == (1, f"error: {tmp_path}: no executions yet; start one: {start}\n")


def test_check_tells_what_a_run_uses_and_with_prices_what_it_costs_at_most(forked, tmp_path: Path) -> None:
    plain = json.loads(forked("pipeline.py", "check", "--json").stdout)["usage"]
    assert [job["step"] for job in plain["jobs"]] == ["Champion", "Preprocess", "Train", "Gate", "Merge"]
    assert plain["dollars"] is None
    prices = tmp_path / "prices.yaml"
    prices.write_text("ml.m5.xlarge: 1.0\nml.t3.medium: 0.5\nml.m5.large: 0.25\n")
    done = forked("pipeline.py", "check", "--prices", prices)
    assert done.returncode == 0, done.stderr
    assert "in all" in done.stdout and "5.50" in done.stdout  # 2 + 0.5 + 1 + 0.5 + 6 x 0.25
    prices.write_text("ml.m5.xlarge: 1.0\n")
    done = forked("pipeline.py", "check", "--prices", prices)
    assert done.returncode == 0
    assert "cost not known: the price table has none for ml.m5.large, ml.t3.medium; add a line" in done.stdout


def test_what_only_aws_knows_is_refused_for_a_local_start(forked, tmp_path: Path) -> None:
    words = ("start", "--local", "--local-root", tmp_path / "state")
    assert "--max-cost and --prices are for AWS" in forked("pipeline.py", *words, "--max-cost", "5").stderr
    assert "--deployed is for AWS; a local run takes the settings" in forked("pipeline.py", *words, "--deployed").stderr
    assert "token: has 2 characters, must have 32 to 128" in forked("pipeline.py", "start", "--token", "t7").stderr
    assert "display name 'a b': must be" in forked("pipeline.py", *words, "--name", "a b").stderr
    assert not (tmp_path / "state").exists()


def test_show_draws_steps_and_parameters(forked) -> None:
    done = forked("pipeline.py", "show")
    assert done.returncode == 0, done.stderr
    words = ("Preprocess", "if Gate.gate.decision equals pass", "RegisterAdapter", "RewardAccuracyThreshold")
    for word in (*words, "if SkipIfNoNewData equals true and Champion.champion.last_registered_data_hash equals"):
        assert word in " ".join(done.stdout.split())


def test_definition_can_be_written_to_a_file(forked, tmp_path: Path) -> None:
    target = tmp_path / "definition.json"
    assert forked("pipeline.py", "definition", "-o", target).returncode == 0
    assert target.read_text() == forked("pipeline.py", "definition").stdout
