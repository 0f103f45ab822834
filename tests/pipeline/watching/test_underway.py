"""The silence of a command is filled, and nothing that it writes is harmed by that."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from pipeline.watching import beat, pulse, underway
from pipeline.watching.underway import ERASE


class Stream(io.StringIO):
    """A terminal, or a pipe."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stream]]:
    """stdout and stderr as one stream, with short silences."""
    monkeypatch.setattr(beat, "DUMB_SECONDS", 0.05)
    monkeypatch.setattr(beat, "PIPE_SECONDS", 0.05)
    monkeypatch.setattr(underway, "REDRAWN_SECONDS", 0.05)

    def made(term: str = "xterm", *, terminal: bool = True) -> Stream:
        stream = Stream(terminal=terminal)
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return made


def until(found: Callable[[], bool]) -> None:
    while not found():
        time.sleep(0.01)


@pytest.mark.parametrize(("term", "terminal"), [("dumb", True), ("xterm", False)])
def test_lines_tell_that_a_command_works_where_nothing_can_be_redrawn(stderr, term: str, terminal: bool) -> None:
    stream = stderr(term, terminal=terminal)
    with underway.underway("deploy"):
        print("one")
        until(lambda: stream.getvalue().count("\n") > 2)
        print("two")
    lines = stream.getvalue().splitlines()
    assert (lines[0], lines[-1]) == ("one", "two")
    assert all(line.startswith("deploy: still working, 0.") for line in lines[1:-1]) and "\x1b" not in lines[1]


def test_a_line_on_a_terminal_gives_way_to_the_next_word_and_to_the_end(stderr) -> None:
    stream = stderr()
    with underway.underway("list"):
        until(lambda: stream.getvalue().count("list: still working") >= 2)
        print("an execution")
        until(lambda: stream.getvalue().endswith("\x1b[0m"))
    text = stream.getvalue()
    assert f"\x1b[0m{ERASE}an execution\n" in text and text.endswith(f"\x1b[0m{ERASE}")
    assert (sys.stdout, sys.stderr) == (stream, stream)


def test_the_line_fits_the_terminal(stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stderr()
    monkeypatch.setenv("COLUMNS", "12")
    with underway.underway("describe"):
        until(lambda: bool(stream.getvalue()))
    assert stream.getvalue().startswith(f"{ERASE}\x1b[2mdescribe: s\x1b[0m")


def test_nothing_is_said_within_a_line_that_goes_on(stderr) -> None:
    stream = stderr()
    with underway.underway("try"):
        sys.stdout.write("an answer, word by")
        time.sleep(0.2)
        sys.stdout.writelines([" word", "\n"])
    assert stream.getvalue() == "an answer, word by word\n"


def test_nothing_is_said_while_something_else_shows_that_it_works_or_somebody_is_asked(stderr) -> None:
    stream = stderr()
    with underway.underway("start"):
        with beat.hold("a question"), beat.hold("another"):
            time.sleep(0.2)
        assert stream.getvalue() == ""
        until(lambda: bool(stream.getvalue()))


def test_silence_is_filled_again_after_a_question_and_after_a_spinner(stderr) -> None:
    stream = stderr()
    with underway.underway("upsert"):
        with beat.hold("a question"):
            sys.stderr.write("Change it? [y/N]: ")
        until(lambda: "still working" in stream.getvalue())
        with pulse.working(Console(stderr=True, force_terminal=True, width=80), "uploading"):
            pass
        assert not stream.getvalue().endswith("\n")
        spun = len(stream.getvalue())
        until(lambda: "still working" in stream.getvalue()[spun:])


def test_several_short_works_in_a_row_are_one_silence(stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stderr("dumb")
    console = Console(stderr=True, force_terminal=True, width=120)
    with underway.underway("start"):
        until(lambda: bool(stream.getvalue()))
        monkeypatch.setattr(beat, "DUMB_SECONDS", 0.5)
        begun = time.monotonic()
        while "work" not in stream.getvalue().replace("still working", ""):
            with pulse.working(console, "a short work"):
                time.sleep(0.05)
            assert time.monotonic() - begun < 60


def test_the_streams_are_themselves_in_all_else(stderr) -> None:
    stream = stderr("dumb")
    with underway.underway("list"):
        assert sys.stdout.isatty() and sys.stdout.getvalue() == ""
    with pytest.raises(SystemExit), underway.underway("list"):
        sys.exit(2)
    assert sys.stderr is stream


def test_a_terminal_that_is_gone_hurts_nobody(stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stderr("dumb")
    asked: list[str] = []

    def refuse(text: str) -> int:
        asked.append(text)
        raise OSError("input/output error")

    monkeypatch.setattr(stream, "write", refuse)
    with underway.underway("list"):
        until(lambda: len(asked) > 1)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_the_shell_has_closed_stops_no_command(
    stderr, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = stderr("dumb")
    monkeypatch.setattr(sys, closed, None)
    with underway.underway("list"):
        print("an execution")
    assert stream.getvalue() == ("" if closed == "stdout" else "an execution\n")
