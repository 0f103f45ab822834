"""Where a command's executions are, on AWS or on this machine, behind the same few questions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.aws.executions import ExecutionSummary, StepSummary
from pipeline.commands.shared.options import where

if TYPE_CHECKING:
    from pipeline.parameters.history import ParameterUse


class Place(Protocol):
    """A pipeline's executions. One is named as `find` names it: by its id here, by its ARN on AWS."""

    @property
    def options(self) -> str:
        """What a next command needs to mean the same place, with a space before."""

    def newest(self) -> list[ExecutionSummary]:
        """The executions, or the newest of many, newest first."""

    def find(self, execution: str | None) -> str:
        """An execution by its id, or the newest one. Raises UserError where there is none."""

    def status(self, execution: str) -> tuple[ExecutionSummary, list[StepSummary]]:
        """An execution as it stands, and the steps that it has reached."""

    def unreached(self, execution: ExecutionSummary, reached: Sequence[StepSummary]) -> list[StepSummary]:
        """The steps that an execution has not reached, and those of a branch not taken.

        Args:
            reached: the others, as `status` gave them.
        """

    def watch(self, execution: str) -> ExecutionSummary:
        """Show an execution until it has ended."""

    def stop(self, execution: str) -> None:
        """Ask a running execution to stop; does not wait for that."""

    def retry(self, execution: str, as_json: bool) -> int:
        """Go on with a failed or stopped execution and print what comes of it; the exit code that tells it."""

    def log(self, execution: str, step: str | None, follow: bool) -> Iterator[dict[str, str]]:
        """The lines of a step's log: the message of each, on AWS with time and node.

        Args:
            step: without it the one that failed, or the last one with a log.
            follow: go on until the step's job has ended.

        Raises:
            UserError: there is no such step, or it has no log.
        """

    def parameters(self, execution: str) -> list[ParameterUse]:
        """With which parameters an execution ran, beside the defaults of then and today."""


@contextmanager
def place_of(
    words: Iterable[str | None], local: bool, root: Path, settings: Path, *, changes: bool = False
) -> Iterator[Place]:
    """The place that a command means; AWS's errors end with the command to run again. Imports the one that is meant.

    Args:
        words: the verb and its arguments; None for one that was not given.
        changes: it changes something, so the credentials must be the settings' account's.
    """
    if local:
        from pipeline.commands.shared.place_here import PlaceHere

        yield PlaceHere(root, settings, where(local, settings, root))
        return
    from pipeline.commands.shared.forgotten_local import Here
    from pipeline.commands.shared.on_aws import remote
    from pipeline.commands.shared.place_on_aws import PlaceOnAws

    verb = shlex.join(filter(None, words))
    with remote(verb, settings, changes=changes, here=Here(verb, root)) as there:
        yield PlaceOnAws(there)
