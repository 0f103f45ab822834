"""Runs a created execution in a process of its own.

    python -m pipeline.local.run EXECUTION_ID --root DIR

Progress goes to stderr as plain lines. Exit code: 0 when it succeeded, 1 when it failed, 130 when it was stopped.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from pipeline.aws.executions import exit_code
from pipeline.errors import UserError
from pipeline.files import ROOT
from pipeline.local import linked
from pipeline.local.executor import run_execution
from pipeline.local.state.records import RUN_LOG, folder
from pipeline.watching import view
from steps.shared import disks


def run_log(root: Path, execution_id: str) -> Path:
    """Where a detached run writes its progress."""
    return folder(root, execution_id) / RUN_LOG


def start_detached(root: Path, execution_id: str) -> subprocess.Popen[bytes]:
    """Run a created execution in the background; it lives on when this process ends."""
    command = [sys.executable, "-m", "pipeline.local.run", execution_id, "--root", str(root.resolve())]
    with open(run_log(root, execution_id), "ab") as file:
        return subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def main(argv: list[str] | None = None) -> int:
    """Run the execution that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.local.run", description="Run a created execution.")
    parser.add_argument("execution_id")
    parser.add_argument("--root", type=Path, required=True, help="folder of the local state")
    arguments = parser.parse_args(argv)
    try:
        with view.shown(Console(stderr=True)) as tell:
            ended = run_execution(arguments.root, arguments.execution_id, tell)
        here = f" --local --local-root {shlex.quote(str(arguments.root))}"
        for line in linked.of_execution(arguments.root, ended, here):
            print(line, file=sys.stderr)
        return exit_code(ended.status)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {disks.told(error, arguments.root)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
