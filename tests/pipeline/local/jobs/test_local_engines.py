"""The docker command of a node, without an engine; test_local_docker.py runs such commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.local.executor import engine
from pipeline.local.jobs.docker_engine import DockerEngine, reference
from pipeline.local.jobs.engine import Group, Request

ALONE = Group(["algo-1"], "lo", True, "none")


def node(tmp_path: Path, repository: Path, group: Group = ALONE, **more: object) -> list[str]:
    given = {"image": "host/dpo:1", "entrypoint": ["python3", "-m", "steps.x"], "arguments": ["--rate", 0.5]}
    given |= {"environment": {}, "platform": {"TRAINING_JOB_NAME": "job"}, "shared": {}} | more
    return DockerEngine().node("job", tmp_path / "ml", group, "algo-1", Request(**given), repository).command


def after(command: list[str], option: str) -> list[str]:
    return [command[place + 1] for place, word in enumerate(command) if word == option]


def test_a_node_is_the_image_of_this_code_with_the_requests_command(tmp_path: Path, repository: Path) -> None:
    command = node(tmp_path, repository)
    image = reference("host/dpo@sha256:" + 64 * "0", repository)
    assert image.startswith("host/dpo:") and image == reference("host/dpo:1", repository)
    assert command[command.index("--entrypoint") :] == [
        "--entrypoint", "python3", image, "-m", "steps.x", "--rate", "0.5"
    ]  # fmt: skip
    assert after(command, "--network") == ["none"] and after(command, "--cap-drop") == ["ALL"]
    assert after(command, "--user") == [f"{os.getuid()}:{os.getgid()}"]
    (repository / "steps" / "code.py").write_text("VALUE = 2\n")
    assert reference("host/dpo:1", repository) != image


def test_a_secret_is_named_on_the_command_line_and_not_given(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    command = node(tmp_path, repository, environment={"HF_TOKEN_SECRET_ARN": "arn", "MODE": "offline"})
    assert "HF_TOKEN" in after(command, "--env") and "MODE=offline" in after(command, "--env")
    assert not any("planted" in word or "SECRET_ARN" in word for word in command)


def test_folders_with_colons_and_commas_are_mounted(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "s3:" / "sigmoid,sft"
    command = node(tmp_path, repository, shared={"/opt/ml/checkpoints": folder})
    assert after(command, "--mount") == [
        f'type=bind,"source={tmp_path}/ml","target=/opt/ml"',
        f'type=bind,"source={folder}","target=/opt/ml/checkpoints"',
    ]
    assert folder.is_dir()  # else the engine makes it, as root


def test_gpus_are_handed_over_and_counted_anew(tmp_path: Path, repository: Path) -> None:
    command = node(tmp_path, repository, devices=["2", "5"])
    assert after(command, "--gpus") == ['"device=2,5"'] and "CUDA_VISIBLE_DEVICES=0,1" in after(command, "--env")
    assert after(node(tmp_path, repository), "--gpus") == []


def test_several_nodes_are_found_by_their_names(tmp_path: Path, repository: Path) -> None:
    command = node(tmp_path, repository, Group(["algo-1", "algo-2"], "eth0", False, "job"))
    assert (after(command, "--network"), after(command, "--network-alias")) == (["job"], ["algo-1"])


@pytest.mark.parametrize("isolated", [True, False])
def test_several_nodes_get_a_network_that_leads_out_only_where_the_job_is_not_isolated(
    monkeypatch: pytest.MonkeyPatch, isolated: bool
) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr("pipeline.local.jobs.docker_engine._quietly", lambda *words: called.append(words))
    with DockerEngine().group("job", 2, isolated) as group:
        assert (group.hosts, group.network) == (["algo-1", "algo-2"], "job")
    assert called == [("network", "create", *(["--internal"] if isolated else []), "job"), ("network", "rm", "job")]
    with DockerEngine().group("job", 1, isolated) as group:
        assert group.network == ("none" if isolated else "bridge")
    assert len(called) == 2


def test_an_engine_is_known_by_its_name() -> None:
    assert [engine(name).name for name in ("processes", "docker")] == ["processes", "docker"]
