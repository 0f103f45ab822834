"""A user who forgot --local: AWS cannot be asked, or has nothing, while this machine has runs of its own.

Looks at the names of the local executions alone, never into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.aws import errors as aws
from pipeline.aws.client import OtherAccount
from pipeline.commands.shared.options import where
from pipeline.errors import UserError
from pipeline.local.state import records


@dataclass(frozen=True)
class Here:
    """What a command for AWS would be on this machine.

    Attributes:
        command: the verb and its arguments, without the options that name the place.
        root: the folder of the local state.
    """

    command: str
    root: Path


def hinted(error: UserError, here: Here, settings: Path) -> UserError:
    """The error with the command for this machine below it, where there is a local run and AWS had nothing to say
    about one there: no credentials, those of another account, or nothing of that name."""
    cause = error.__cause__
    meant = isinstance(error, OtherAccount) or (
        isinstance(cause, Exception) and (aws.has_no_credentials(cause) or aws.is_missing(cause))
    )
    run = records.newest_id(here.root) if meant else None
    if run is None:
        return error
    command = f"python pipeline.py {here.command}{where(True, settings, here.root)}"
    return UserError(f"{error}\nThis machine has a local run, {run}; if you mean it, add --local: {command}")
