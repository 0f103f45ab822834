"""Where the facts of an execution's page come from, in the place that a command means."""

from __future__ import annotations

from pipeline.commands.shared.place import Place
from pipeline.commands.shared.place_here import PlaceHere
from pipeline.commands.shared.place_on_aws import PlaceOnAws
from pipeline.errors import UserError
from pipeline.report.here import Here
from pipeline.report.on_aws import OnAws
from pipeline.report.runs import Run, gather
from pipeline.report.source import Source

NEWEST = 100  # executions that the page of all of them shows


def source_of(place: Place, execution: str) -> Source:
    """The source of one execution, named as `find` names it."""
    if isinstance(place, PlaceHere):
        return Here(place.root, execution)
    assert isinstance(place, PlaceOnAws)
    there = place.there
    return OnAws(there.sagemaker, there.client("s3"), there.client("logs"), execution)


def runs_of(place: Place) -> tuple[list[Run], list[str]]:
    """The newest executions, newest first, and what is left out."""
    found = place.newest()
    notes = [f"Older ones than the newest {NEWEST} are left out."] if len(found) > NEWEST else []
    runs = []
    for listed in found[:NEWEST]:
        named = listed.arn if isinstance(place, PlaceOnAws) else listed.id
        try:
            summary, steps = place.status(named)
            runs.append(gather(source_of(place, named), summary, steps))
        except UserError as error:  # one whose files are damaged must not hide the others
            runs.append(Run(listed, problem=str(error)))
    return runs, notes
