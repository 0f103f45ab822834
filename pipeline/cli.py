"""The command line: which verbs there are, and how an error reaches the user.

Commands live in `pipeline/commands/`, one file a concern; this file only names them. Heavy imports (the SageMaker SDK,
boto3) happen inside the commands that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from pipeline.commands import (
    bootstrap,
    check_show,
    compare,
    deploy,
    describe,
    env,
    images,
    logs,
    models,
    recipe,
    start,
    status_stop_retry,
    try_version,
    upsert,
)
from pipeline.commands.automation import schedules, triggers
from pipeline.commands.feedback import forget
from pipeline.commands.feedback import say as feedback
from pipeline.commands.reports import report
from pipeline.errors import UserError
from steps.shared import disks
from steps.shared.contract import StepError
from steps.shared.pages import visible

DEBUG = "--debug"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Preference-tune a language model with DPO on Amazon SageMaker, or with --local on this machine.",
    epilog="Add --debug to any command to see the traceback behind an error.",
)
# One group of the help a line: what a person is about to do, in the order in which they come to it.
RUN, LOOK, DECIDE, SERVE = "Run", "Look at executions", "Judge versions", "Serve"
AUTOMATE, ACCOUNT = "Automate", "Definition, account, this machine"
COMMANDS: dict[str, dict[str, Callable[..., Any]]] = {
    RUN: {"recipe": recipe.recipe, "check": check_show.check, "start": start.start,
          "stop": status_stop_retry.stop, "retry": status_stop_retry.retry},
    LOOK: {"status": status_stop_retry.status, "list": status_stop_retry.list_executions,
           "describe": describe.describe, "report": report.report, "logs": logs.logs},
    DECIDE: {"models": models.models, "compare": compare.compare, "try": try_version.try_version,
             "approve": models.approve, "reject": models.reject},
    SERVE: {"deploy": deploy.deploy, "undeploy": deploy.undeploy, "feedback": feedback.feedback,
            "forget": forget.forget},
    AUTOMATE: {"schedule": schedules.schedule, "schedules": schedules.schedules, "unschedule": schedules.unschedule,
               "trigger": triggers.trigger, "triggers": triggers.triggers, "untrigger": triggers.untrigger},
    ACCOUNT: {"bootstrap": bootstrap.bootstrap, "images": images.images, "upsert": upsert.upsert,
              "show": check_show.show, "definition": check_show.print_definition, "delete": upsert.delete,
              "teardown": bootstrap.teardown, "env": env.env},
}  # fmt: skip
for group, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=group)(command)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for a wrong option, 130 when interrupted."""
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


def _too_deep_or_homeless(error: RuntimeError) -> str | None:
    """What a user can do about it; None of a bug."""
    if isinstance(error, RecursionError):
        return "a file that was read is nested too deep; with --debug the command shows where"
    if "home directory" in str(error).lower():  # of libraries that look for settings there
        return "this user has no home folder on this machine; set HOME to one that it may write, then run it again"
    return None
