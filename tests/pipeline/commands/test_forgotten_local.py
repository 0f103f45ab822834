"""A command without --local where AWS has nothing to say and this machine has runs: the flag is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from pipeline import cli
from pipeline.aws.client import OtherAccount
from pipeline.commands.shared.forgotten_local import Here, hinted
from pipeline.errors import UserError
from pipeline.local.state import records
from pipeline.settings.workflow import DEFAULT_SETTINGS

WITHOUT = ("error: AWS: no complete credentials found",)
Command = Callable[..., list[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def made(root: Path) -> str:
    """The id of a local execution, of which no more than its place is looked at."""
    home = records.folder(root, "abcdefghijkl")
    home.mkdir(parents=True)
    (home / "execution.json").touch()
    return home.name


@pytest.fixture
def refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command that finds no credentials; the lines of its error."""
    for name, value in {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> list[str]:
        assert cli.main([*words, "--local-root", str(root)]) == 1
        return capsys.readouterr().err.splitlines()

    return call


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (("status",), "status"),
        (("list",), "list"),
        (("logs", "--step", "Train"), "logs --step=Train"),
        (("retry",), "retry"),
        (("feedback", "abc", "--up", "--reason", "so it is"), "feedback abc --up --reason 'so it is'"),
        (("forget", "me"), "forget me"),
        (("models",), "models"),
        (("approve", "2", "--group", "a b"), "approve 2 --group 'a b'"),
        (("start", "--set", "Beta=0.2", "--wait", "--max-cost", "3"), "start --set Beta=0.2 --wait"),
    ],
)
def test_a_local_run_is_named_with_the_command_that_shows_it(
    refused: Command, made: str, root: Path, words: tuple[str, ...], again: str
) -> None:
    _, hint = refused(*words)
    said = f"This machine has a local run, {made}; if you mean it, add --local: python pipeline.py {again} --local"
    assert hint == f"{said} --local-root {root}"


def test_without_a_local_run_nothing_is_added(refused: Command) -> None:
    (line,) = refused("status")
    assert line.startswith(WITHOUT)


def caused(cause: Exception) -> UserError:
    error = UserError("AWS: no")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (caused(NoCredentialsError()), True),
        (OtherAccount("AWS: another account"), True),
        (caused(ClientError({"Error": {"Code": "ResourceNotFound", "Message": "no"}}, "DescribePipeline")), True),
        (caused(ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "DescribePipeline")), False),
        (UserError("--step X: not among the steps reached"), False),
    ],
)
@pytest.mark.usefixtures("made")
def test_only_where_aws_has_nothing_there(root: Path, error: UserError, meant: bool) -> None:
    assert ("--local" in str(hinted(error, Here("status", root), DEFAULT_SETTINGS))) is meant
