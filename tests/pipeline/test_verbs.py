"""The table of verbs: it says what the commands say, and imports none of them before it is asked for."""

from __future__ import annotations

import inspect
import json

import pytest

from pipeline.verbs import VERBS, verbs


@pytest.mark.parametrize("name", list(verbs()))
def test_a_verbs_line_is_the_first_of_its_function(name: str) -> None:
    verb = verbs()[name]
    command = verb.loaded()
    assert command.name == name and verb.rich_help_panel in VERBS
    assert verb.help == inspect.cleandoc(command.help).splitlines()[0]


HELP = """
import json, sys
from pipeline.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (["--help"], ("pydantic", "yaml", "pipeline.commands", "pipeline.settings", "steps.train")),
        (["status", "--help"], ("yaml", "pipeline.settings", "pipeline.aws.client", "pipeline.local")),
    ],
)
def test_help_imports_neither_the_other_commands_nor_what_they_need(run, words: list[str], others) -> None:
    done = run("-c", HELP, *words)
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0 and "Usage: python pipeline.py" in done.stdout
    loaded = {module for module in modules if module.startswith(others)}
    assert loaded == set()


def test_a_verbs_own_help_has_its_options(run) -> None:
    done = run("pipeline.py", "list", "--help")
    assert done.returncode == 0 and "--local-root" in done.stdout and "python pipeline.py list" in done.stdout


def test_a_verb_that_there_is_not_is_named_with_the_nearest(run) -> None:
    done = run("pipeline.py", "chek")
    assert done.returncode == 2 and "Did you mean 'check'" in done.stderr
