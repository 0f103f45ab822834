"""The command line as a user meets it: verbs, messages, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

VERBS = [
    "check", "definition", "show", "images", "upsert", "start", "status", "list", "logs", "stop", "retry", "models",
    "approve", "reject", "compare", "try", "deploy", "undeploy",
]  # fmt: skip
FLAGS = {
    "check": {
        "--settings",
        "--recipe",
        "--instance-type",
        "--instance-count",
        "--model-config",
        "--rows",
        "--json",
    },
    "definition": {"--settings", "--output"},
    "show": {"--settings"},
    "images": {"--build-arg", "--settings"},
    "upsert": {"--settings", "--json"},
    "start": {"--set", "--wait", "--local", "--local-root", "--engine", "--settings", "--json"},
    "status": {"--local", "--local-root", "--settings", "--json"},
    "list": {"--local", "--local-root", "--settings", "--json"},
    "logs": {"--step", "--follow", "--local", "--local-root", "--settings"},
    "stop": {"--local", "--local-root", "--settings"},
    "retry": {"--local", "--local-root", "--settings"},
    "models": {"--group", "--local", "--local-root", "--settings", "--json"},
    "approve": {"--note", "--group", "--local", "--local-root", "--settings", "--json"},
    "reject": {"--note", "--group", "--local", "--local-root", "--settings", "--json"},
    "compare": {"--plot", "--group", "--local", "--local-root", "--settings", "--json"},
    "try": {
        "--system", "--tools", "--max-new-tokens", "--temperature", "--base", "--group", "--local", "--local-root",
        "--settings", "--json",
    },
    "deploy": {"--instance-type", "--name", "--wait", "--group", "--settings", "--json"},
    "undeploy": {"--settings", "--json"},
}  # fmt: skip


def test_the_command_line_has_these_verbs_and_flags_and_no_others() -> None:
    import typer

    from pipeline.cli import app

    commands = typer.main.get_command(app).commands
    assert list(commands) == VERBS
    for verb, command in commands.items():
        flags = {name for option in command.params for name in option.opts if name.startswith("--")}
        assert flags == FLAGS[verb], verb


def test_check_says_that_a_sound_workflow_is_sound(run) -> None:
    done = run("pipeline.py", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("configs/quickstart.yaml: no problems\n")


def test_check_lists_all_problems_of_a_broken_file_and_fails(run, root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    text = (root / "configs" / "quickstart.yaml").read_text()
    broken.write_text(text.replace("ml.m5.xlarge", "m5").replace("package_group:", "packagegroup:"))
    done = run("pipeline.py", "check", "--settings", broken)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {broken}: 3 problems\n")
    for part in ("train.instance_type: must", "unknown key; did you mean package_group?", "is required and missing"):
        assert part in done.stderr
    assert done.stderr.endswith(f"Mend them, then: python pipeline.py check --settings {broken}\n")
    asked = run("pipeline.py", "check", "--settings", broken, "--json")
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
def test_a_wrong_value_is_refused_before_anything_starts(run, tmp_path: Path, assignment: str, message: str) -> None:
    done = run("pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--wait", "--set", assignment)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state" / "executions").exists()


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_a_folder_that_is_no_usable_model_is_refused_by_what_it_lacks(run, tmp_path: Path, missing: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} - {missing}:
        (model / name).write_text("{}")
    done = run("pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--set", f"ModelUri={model}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {model}: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_error_without_credentials_is_one_line_with_the_next_command(run, tmp_path: Path) -> None:
    nothing = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    done = run("pipeline.py", "upsert", **nothing)
    assert done.returncode == 1
    assert done.stderr.startswith("error: AWS: no complete credentials found")
    assert done.stderr.endswith("then: python pipeline.py upsert\n")
    assert "Traceback" in run("pipeline.py", "upsert", "--debug", **nothing).stderr


def test_containers_are_for_local_runs_and_want_an_engine(run, tmp_path: Path) -> None:
    done = run("pipeline.py", "start", "--engine", "docker")
    assert done.stderr == "error: --engine belongs to --local; add --local, or leave it out\n"
    nowhere = {"PATH": str(tmp_path)}
    done = run("pipeline.py", "start", "--local", "--local-root", tmp_path / "state", "--engine", "docker", **nowhere)
    again = f"python pipeline.py start --local --local-root {tmp_path}/state --engine docker"
    assert done.stderr == f"error: docker: there is no such program here; install Docker Engine, then: {again}\n"
    assert not (tmp_path / "state").exists()


def test_an_empty_local_root_says_what_to_run(run, tmp_path: Path) -> None:
    options = ("--local", "--local-root", tmp_path)
    assert "python pipeline.py start --local" in run("pipeline.py", "list", *options).stdout
    assert json.loads(run("pipeline.py", "models", *options, "--json").stdout) == []
    done = run("pipeline.py", "status", *options)
    assert (done.returncode, done.stderr) == (1, f"error: {tmp_path}: there are no executions yet\n")


def test_show_draws_steps_and_parameters(run) -> None:
    done = run("pipeline.py", "show")
    assert done.returncode == 0, done.stderr
    for word in ("Preprocess", "if Gate.gate.decision equals pass", "RegisterAdapter", "RewardAccuracyThreshold"):
        assert word in done.stdout


def test_definition_can_be_written_to_a_file(run, tmp_path: Path) -> None:
    target = tmp_path / "definition.json"
    assert run("pipeline.py", "definition", "-o", target).returncode == 0
    assert target.read_text() == run("pipeline.py", "definition").stdout
