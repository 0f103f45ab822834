"""pipeline.py in a Python that lacks the packages, or is none that they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

OLD = "import sys; sys.version_info = (3, 9, 1, 'final', 0); sys.version = '3.9.1 (main)'; "
RUN = "import runpy; sys.argv = ['pipeline.py', *sys.argv[1:]]; runpy.run_path('pipeline.py', run_name='__main__')"


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """A checkout's folder, as far as its front door sees it."""
    shutil.copy(ROOT / "pipeline.py", tmp_path)
    for folder in ("pipeline", "steps"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    return tmp_path


def refused(door: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=door, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr.removesuffix("\n")


def test_without_the_environment_it_says_how_to_make_it(door: Path) -> None:
    said = refused(door, "-S", "pipeline.py", "list")  # -S: no site-packages
    assert said.startswith("error: the package ") and f" is not installed in {sys.executable}; run " in said
    assert said.endswith("run `make run` once, which makes the environment, then `. .venv/bin/activate`")


def test_outside_an_environment_that_is_there_it_says_how_to_enter_it(door: Path) -> None:
    (door / ".venv" / "bin").mkdir(parents=True)
    (door / ".venv" / "bin" / "activate").touch()
    assert refused(door, "-S", "pipeline.py", "list").endswith("; run `. .venv/bin/activate`")


def test_from_another_folder_it_says_where_that_is(door: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    said = refused(tmp_path_factory.mktemp("elsewhere"), "-S", str(door / "pipeline.py"), "list")
    assert said.endswith(f"then `. .venv/bin/activate` in {door}")


def test_inside_one_that_is_not_whole_it_says_how_to_make_it_whole(door: Path) -> None:
    os.symlink(sys.prefix, door / ".venv")
    said = refused(door, "-S", "-c", f"import sys; sys.prefix = {sys.prefix!r}; {RUN}", "list")
    assert said.endswith("; run `make run`, which installs what the environment lacks")


def test_another_python_is_named_with_those_that_it_needs(door: Path) -> None:
    said = refused(door, "-c", OLD + RUN, "list")
    make = "run `make run` once, which makes the environment, then `. .venv/bin/activate`"
    assert said == f"error: Python 3.11 or 3.12 is needed, and this is 3.9.1; {make}"


def test_a_package_that_only_a_command_needs_is_named_too(door: Path) -> None:
    hidden = "import sys; sys.modules['boto3'] = None; "
    assert refused(door, "-c", hidden + RUN, "list").startswith("error: the package boto3 is not installed in ")
