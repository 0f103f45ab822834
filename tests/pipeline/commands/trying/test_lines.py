"""What a line means: something to say, a command, or neither with a suggestion."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.trying import lines
from pipeline.commands.trying.lines import Command, read
from pipeline.errors import UserError


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("  What now? ", "What now?"),
        ("", None),
        (" \t", None),
        ("//tmp is a folder", "/tmp is a folder"),
        ("/base", Command("base", "")),
        (" /system  Be  brief. ", Command("system", "Be  brief.")),
        ("/tools", Command("tools", "")),
        ("/save a b.json", Command("save", "a b.json")),
        ("/result 1\n2", Command("result", "1\n2")),
    ],
)
def test_a_line_is_said_or_done(line: str, meant: object) -> None:
    assert read(line) == meant


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/bas", "/bas: there is no such command; did you mean /base? (to say it to the model: //bas)"),
        ("/xyzzy", "/xyzzy: there is no such command; /help shows all (to say it to the model: //xyzzy)"),
        ("/undo it", "/undo takes nothing after it"),
        ("/save", "/save needs FILE.json: write the conversation into a new file"),
        ("a\udcff", "this line is not UTF-8; write it in UTF-8"),
    ],
)
def test_what_is_meant_by_nothing_is_told_with_what_might_be(line: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        read(line)
    assert str(error.value) == said


@given(st.one_of(st.text(), st.text().map(lambda text: lines.MARK + text)))
def test_any_line_is_one_of_these(line: str) -> None:
    with contextlib.suppress(UserError):
        meant = read(line)
        assert meant is None or (isinstance(meant, str) and meant) or meant.name in lines.COMMANDS


def test_the_help_has_a_line_for_each_command() -> None:
    shown = lines.help_text().splitlines()
    assert [line.split()[0] for line in shown[:-1]] == [f"/{name}" for name in lines.COMMANDS]
