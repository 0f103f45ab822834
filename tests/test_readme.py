"""The README says what the code does: its tables are fresh, its commands and files exist."""

from __future__ import annotations

import re

import pytest
import typer

from pipeline.cli import app
from tests.readme import README, ROOT, TABLES, rewritten

TEXT = README.read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")


def test_every_generated_table_is_fresh() -> None:
    assert TABLES and rewritten(TEXT) == TEXT, "stale: python -m tests.readme --write"


def test_every_command_in_it_exists_with_its_options() -> None:
    verbs = typer.main.get_command(app).commands
    lines = re.findall(r"^python pipeline\.py (.*)$", BLOCKS, re.MULTILINE)
    assert lines
    for line in lines:
        verb, *words = line.split()
        known = {name for option in verbs[verb].params for name in option.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_every_linked_file_exists(target: str) -> None:
    assert (ROOT / target).exists()


def test_make_targets_in_it_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\w+)|`make (\w+)`", TEXT, re.MULTILINE))
    assert len(targets) >= 2
    for target in targets:
        name = "".join(target)
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


def test_the_two_commands_stand_on_the_first_screen() -> None:
    top = "\n".join(TEXT.splitlines()[:40])
    assert "make run" in top and "make test" in top and "registered" in top
