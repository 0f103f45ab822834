"""forget: remove a person, or an answer, from what was captured, said, and made of it, here or on AWS."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from pipeline.aws import errors as aws
from pipeline.aws import executions
from pipeline.commands.shared.confirm import Yes, confirm
from pipeline.commands.shared.forgotten_local import Here
from pipeline.commands.shared.on_aws import remote
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    print_json,
    say,
    where,
)
from pipeline.errors import UserError
from pipeline.forgetting import forget as forgetting
from pipeline.forgetting import here
from pipeline.forgetting.forget import Forgettable
from pipeline.forgetting.places import InS3
from pipeline.forgetting.whose import Asked
from pipeline.settings import workflow as workflow_settings
from pipeline.step_kit.network_and_keys import upload

OF_AWS = "what MLflow's server, CloudWatch's logs and backups have of it: remove it there"

Whom = Annotated[
    str, typer.Argument(metavar="ID-OR-PERSON", help="Inference id of an answer, or a person as feedback names them.")
]
WithAnswers = Annotated[
    bool, typer.Option("--with-answers", help="Also the captures that the person gave feedback on.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")]


def forget(
    whom: Whom,
    with_answers: WithAnswers = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Remove a person's or an answer's captures, feedback and pairs, and the rows of the runs that had them."""
    words = f"forget {shlex.quote(whom)}" + " --with-answers" * with_answers
    command, asked = f"python pipeline.py {words}{where(local, settings, local_root)}", Asked(whom, with_answers)
    if local:
        workflow = workflow_settings.load(settings)
        name = workflow.settings.pipeline_name
        place = here.place(local_root, name, workflow.base_uri)
        found = forgetting.find(place, asked, here.executions(local_root, name))
        if _agreed(found, f"Forget {whom} in {local_root}?", dry_run, yes, command):
            tracked = here.tracked(place, found.derived.runs)
            kept = forgetting.forget(place, found, lambda: here.clear(local_root, found.derived.runs, tracked))
            _tell(found, kept, as_json, done=True)
        else:
            _tell(found, [], as_json, done=False)
        return
    with remote(words, settings, changes=not dry_run, here=Here(words, local_root)) as there:
        listed = aws.described(lambda: executions.list_executions(there.sagemaker, there.name))
        for execution in listed or ():  # the pipeline itself may be deleted by now
            if execution.status in executions.RUNNING:
                raise here.running(execution.id)
        workflow = there.workflow
        in_s3 = InS3(there.client("s3"), workflow.base_uri, upload(workflow.account.security))
        found = forgetting.find(in_s3, asked)
        done = _agreed(found, f"Forget {whom} in {workflow.base_uri}?", dry_run, yes, command)
        kept = forgetting.forget(in_s3, found) if done else []
    tried = f"what `try` and runs left on this machine: python pipeline.py {words}{where(True, settings)}"
    _tell(found, [*kept, OF_AWS, tried], as_json, done=done)


def _agreed(found: Forgettable, question: str, dry_run: bool, yes: bool, command: str) -> bool:
    """Show what goes, and ask; False where it is only to be shown.

    Raises:
        UserError: there is nothing, or the answer is no.
    """
    if found.empty:
        unread = f"; {found.lines.unread} lines are no JSON" if found.lines.unread else ""
        raise UserError(
            f"{found.asked.name}: neither a capture nor feedback has it as an id or as a person{unread}; names are "
            "compared letter by letter"
        )
    for line in found.told():
        say(f"to be deleted: {line}")
    if not dry_run:
        confirm(question, yes, command)
    return not dry_run


def _tell(found: Forgettable, kept: list[str], as_json: bool, *, done: bool) -> None:
    if as_json:
        print_json(forgetting.document(found, kept, done=done))
        return
    if done:
        print(f"forgotten: {found.asked.name}")
    for line in (*found.stays(), *kept):
        print(f"{'stays' if done else 'would stay'}: {line}")
