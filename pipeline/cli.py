"""The command line: which verbs there are, and how an error reaches the user.

Commands live in `pipeline/commands/`, one file a concern; this file only names them. Heavy imports (the SageMaker SDK,
boto3) happen inside the commands that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys

import typer

from pipeline.commands import (
    bootstrap,
    check_show,
    compare,
    deploy,
    describe,
    images,
    logs,
    models,
    schedules,
    start,
    status_stop_retry,
    triggers,
    try_version,
    upsert,
)
from pipeline.errors import UserError
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
app.command()(check_show.check)
app.command("definition")(check_show.print_definition)
app.command()(check_show.show)
app.command()(images.images)
app.command()(upsert.upsert)
app.command()(start.start)
app.command()(status_stop_retry.status)
app.command("list")(status_stop_retry.list_executions)
app.command()(describe.describe)
app.command()(logs.logs)
app.command()(status_stop_retry.stop)
app.command()(status_stop_retry.retry)
app.command()(upsert.delete)
app.command()(models.models)
app.command()(models.approve)
app.command()(models.reject)
app.command()(compare.compare)
app.command("try")(try_version.try_version)
app.command()(deploy.deploy)
app.command()(deploy.undeploy)
app.command()(schedules.schedule)
app.command()(schedules.schedules)
app.command()(schedules.unschedule)
app.command()(triggers.trigger)
app.command()(triggers.triggers)
app.command()(triggers.untrigger)
app.command()(bootstrap.bootstrap)
app.command()(bootstrap.teardown)


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
