#!/usr/bin/env python3
"""The command line's front door: `python pipeline.py --help`. Its body is the package of the same name."""

import sys

try:
    from pipeline.cli import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] in ("pipeline", "steps"):
        raise
    sys.exit(
        f"error: the package {error.name} is not installed in {sys.executable}; run `make run` once, which makes the "
        "environment, then `. .venv/bin/activate`"
    )

if __name__ == "__main__":
    sys.exit(main())
