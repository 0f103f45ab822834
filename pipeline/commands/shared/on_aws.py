"""The AWS side of a command: the workflow, a client of its region, and AWS's errors as messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.aws import errors as aws
from pipeline.aws.client import check_account, client
from pipeline.commands.shared.forgotten_local import Here, hinted
from pipeline.commands.shared.options import where
from pipeline.errors import UserError
from pipeline.settings import workflow as workflow_settings
from pipeline.settings.workflow import Workflow


@dataclass(frozen=True)
class Remote:
    """A workflow's pipeline in its account."""

    workflow: Workflow
    sagemaker: Any
    options: str = ""  # that a next command needs to mean the same place

    @property
    def name(self) -> str:
        return self.workflow.settings.pipeline_name

    def client(self, service: str) -> Any:
        return client(service, self.workflow.account.region)


@contextmanager
def remote(verb: str, settings: Path, *, changes: bool = False, here: Here | None = None) -> Iterator[Remote]:
    """Where `verb` acts on AWS; errors end with the command to run again.

    Args:
        changes: the verb creates or starts something, so the credentials must be the settings' account's.
        here: the command with --local, of a verb that works on this machine too.
    """
    workflow = workflow_settings.load(settings)
    options = where(False, settings)
    command = f"python pipeline.py {verb}{options}"
    try:
        with aws.translated(command):
            there = Remote(workflow, client("sagemaker", workflow.account.region), options)
            if changes:
                check_account(there.client("sts"), workflow.account.account_id, command)
            yield there
    except UserError as error:
        raise (hinted(error, here, settings) if here else error) from error.__cause__
