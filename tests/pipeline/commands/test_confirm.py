"""The question before a change: who is asked, and what an answer does."""

import io

import pytest

from pipeline.commands.shared.confirm import confirm
from pipeline.errors import UserError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    def answering(text):
        monkeypatch.setattr("sys.stdin", Terminal(text))
        monkeypatch.setattr("sys.stderr", Terminal())

    return answering


def test_without_a_terminal_the_next_command_is_told(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UserError) as caught:
        confirm("Delete it?", False, "python pipeline.py delete")
    assert str(caught.value) == (
        "Delete it? Nobody can be asked here; when it is what you want: python pipeline.py delete --yes"
    )


def test_a_yes_beforehand_asks_nobody(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    confirm("Delete it?", True, "python pipeline.py delete")


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_anything_but_yes_changes_nothing(terminal, answer):
    terminal(answer)
    with pytest.raises(UserError, match=r"^nothing was changed$"):
        confirm("Delete it?", False, "python pipeline.py delete")


def test_a_yes_goes_on(terminal):
    terminal("y\n")
    confirm("Delete it?", False, "python pipeline.py delete")
