"""The command line, and how an error reaches the user.

Commands live in `pipeline/commands/`, one file a concern; `verbs.py` names them. A command is imported when it is asked
for, and the heavy ones among its imports (the SageMaker SDK, boto3) when it needs them.
"""

from __future__ import annotations

import os
import sys

from typer.core import TyperGroup

from pipeline.errors import UserError
from pipeline.verbs import verbs
from steps.shared import disks
from steps.shared.contract import StepError
from steps.shared.pages import visible

DEBUG = "--debug"

app = TyperGroup(
    commands=dict(verbs()),
    no_args_is_help=True,
    help="Preference-tune a language model with DPO on Amazon SageMaker, or with --local on this machine.",
    epilog="Add --debug to any command to see the traceback behind an error.",
)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for a wrong option, 130 when interrupted."""
    _open_closed()
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = DEBUG in argv
    argv = [word for word in argv if word != DEBUG]
    try:
        return app(argv, prog_name="python pipeline.py", standalone_mode=True) or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except (UserError, StepError) as error:
        if debug:
            raise
        print(f"error: {visible.visible(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone, as with `| head`; Python must not fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full or read-only disk, a file of another user: the machine's, and not a bug
        if debug:
            raise
        print(f"error: {disks.told(error)}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if debug or not (said := _too_deep_or_homeless(error)):
            raise
        print(f"error: {said}", file=sys.stderr)
        return 1


def _open_closed() -> None:
    """Give a stream that the shell closed (`>&-`) a place to write to, as the commands' words go on all the same."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (to the process's end)


def _too_deep_or_homeless(error: RuntimeError) -> str | None:
    """What a user can do about it; None of a bug."""
    if isinstance(error, RecursionError):
        return "a file that was read is nested too deep; with --debug the command shows where"
    if "home directory" in str(error).lower():  # of libraries that look for settings there
        return "this user has no home folder on this machine; set HOME to one that it may write, then run it again"
    return None
