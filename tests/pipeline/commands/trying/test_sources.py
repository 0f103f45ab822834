"""Lines from a pipe and from a terminal: how they are read, counted, interrupted."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from pipeline.commands.trying import sources
from pipeline.errors import UserError
from steps.shared.contract import StepError


def reads(*lines: str | type[BaseException]) -> Callable[[], str]:
    left = list(lines)

    def read() -> str:
        if not left:
            raise EOFError
        line = left.pop(0)
        if isinstance(line, str):
            return line
        raise line

    return read


def test_a_backslash_at_the_end_goes_on_in_the_next_line() -> None:
    read = reads("a\\", "b\\", "c", "d\\")
    assert [sources.whole(read), sources.whole(read)] == ["a\nb\nc", "d"]
    with pytest.raises(EOFError):
        sources.whole(read)


def test_what_cannot_be_taken_is_told_with_its_line_and_the_rest_goes_on(capsys) -> None:
    taken: list[str] = []

    def take(line: str) -> bool:
        if line.startswith("bad"):
            raise (UserError if line == "bad" else StepError)(f"{line!r} is bad")
        taken.append(line)
        return line != "end"

    assert not sources.run(take, reads("a\\", "b", "bad", "bad\\", "c", "end", "never"), is_typed=False)
    assert taken == ["a\nb", "end"]
    assert capsys.readouterr().err == "error: line 3: 'bad' is bad\nerror: line 5: 'bad\\nc' is bad\n"
    assert not sources.run(take, reads("bad"), is_typed=True)
    assert capsys.readouterr().err == "error: 'bad' is bad\n"
    assert sources.run(take, reads("a"), is_typed=False)


def test_ctrl_c_discards_a_typed_line_and_ends_a_pipe() -> None:
    taken: list[str] = []
    assert sources.run(lambda line: not taken.append(line), reads("a\\", KeyboardInterrupt, "b"), is_typed=True)
    assert taken == ["b"]
    with pytest.raises(KeyboardInterrupt):
        sources.run(lambda line: True, reads(KeyboardInterrupt), is_typed=False)


def test_stdin_is_read_line_by_line_and_an_empty_one_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("grüß\r\n\n\xff".encode("latin-1"))))
    read = sources.piped()
    assert [read(), read(), read()] == ["gr\udcfc\udcdf", "", "\udcff"]
    with pytest.raises(EOFError):
        read()
    for empty in (io.TextIOWrapper(io.BytesIO(b"")), None):
        monkeypatch.setattr(sys, "stdin", empty)
        assert not sources.is_typed()
        with pytest.raises(UserError, match="nothing is asked: give a prompt"):
            sources.piped()


def test_commands_complete() -> None:
    assert [sources._completed("/r", 0), sources._completed("/r", 1), sources._completed("/r", 2)] == [
        "/result ",
        "/reset ",
        None,
    ]
    assert sources._completed("r", 0) is None


def test_without_readline_lines_are_read_all_the_same(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setitem(sys.modules, "readline", None)
    monkeypatch.setattr("builtins.input", lambda prompt="": f"{prompt}typed")
    with sources.typed(tmp_path) as read:
        assert read() == "typed"
        assert capsys.readouterr() == ("", "> ")  # here stdout is a file, which gets answers alone
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert read() == "> typed"
    assert list(tmp_path.iterdir()) == []
