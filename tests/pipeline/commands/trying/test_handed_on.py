"""A child's words and notes come in their order, and a reader that goes away stops nobody."""

from __future__ import annotations

import os
import sys
from itertools import groupby

import pytest

from pipeline.commands.trying.handed_on import handed_on
from steps.answer.limits import NOTE


def test_notes_go_to_stderr_between_the_words_where_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str]] = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        monkeypatch.setattr(stream, "write", lambda text, name=name: written.append((name, text)))
    with handed_on() as pipe:
        os.write(pipe, f"{NOTE}2 tokens\nAn ans".encode())
        os.write(pipe, f"wer, with é\n{NOTE}5 tokens\n--- base\n".encode())
    came = [(name, "".join(text for _, text in parts)) for name, parts in groupby(written, lambda part: part[0])]
    words, base = "An answer, with é\n", "--- base\n"
    assert came == [("stderr", "2 tokens\n"), ("stdout", words), ("stderr", "5 tokens\n"), ("stdout", base)]


def test_where_nobody_reads_any_more_the_child_goes_on_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys.stdout, "write", refuse)
    ended = False
    with pytest.raises(BrokenPipeError), handed_on() as pipe:
        for _ in range(20):
            os.write(pipe, b"word " * 1000)  # more than the pipe holds
        ended = True
    assert ended
