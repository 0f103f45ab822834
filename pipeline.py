#!/usr/bin/env python3
"""The command line's front door: `python pipeline.py --help`. Its body is the package of the same name.

This file alone must also run in a Python that is too old or lacks the packages: it says what to do then.
"""

import os
import sys

HOME = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HOME, ".venv")
ACTIVATE = "`. .venv/bin/activate`"


def fix() -> str:
    """How to come to a Python that has what is needed: enter the environment, or make it, or make it whole."""
    return command() + ("" if os.path.realpath(os.getcwd()) == os.path.realpath(HOME) else " in " + HOME)


def command() -> str:
    if not os.path.exists(os.path.join(VENV, "bin", "activate")):
        return f"`make run` once, which makes the environment, then {ACTIVATE}"
    inside = os.path.realpath(sys.prefix) == os.path.realpath(VENV)
    return "`make run`, which installs what the environment lacks" if inside else ACTIVATE


if not (3, 11) <= sys.version_info[:2] <= (3, 12):
    sys.exit(f"error: Python 3.11 or 3.12 is needed, and this is {sys.version.split()[0]}; run {fix()}")

try:
    if __name__ == "__main__":
        from pipeline.watching.underway import underway

        # From here on: what a command imports takes seconds too, in a fresh clone above all.
        with underway(next((word for word in sys.argv[1:] if not word.startswith("-")), "pipeline.py")):
            from pipeline.cli import main

            sys.exit(main())
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package in ("", "pipeline", "steps") or "--debug" in sys.argv:
        raise
    sys.exit(f"error: the package {package} is not installed in {sys.executable}; run {fix()}")
