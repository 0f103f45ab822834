"""report: one self-contained HTML page of an execution, or of all executions of a pipeline."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.aws.errors import advice_on
from pipeline.aws.executions import ENDED, StepSummary, id_of
from pipeline.commands.reports.sources import runs_of, source_of
from pipeline.commands.reports.what_next import what_next
from pipeline.commands.shared.model_registry import package_group
from pipeline.commands.shared.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Execution,
    Local,
    LocalRoot,
    Settings,
    print_json,
    say,
)
from pipeline.commands.shared.place import Place, place_of
from pipeline.commands.shared.place_on_aws import PlaceOnAws
from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.parameters import history
from pipeline.preflight import costs
from pipeline.report.facts import Facts, gather

FOLDER = "reports"  # of the local state
WATCH_SECONDS = 10

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", help="Where to; default: .local/reports/.", show_default=False),
]
Open = Annotated[bool, typer.Option("--open", help="Open it in the browser.")]
All = Annotated[bool, typer.Option("--all", help="All executions of the pipeline: accuracy over time, versions.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Write it again every 10 seconds until it has ended.")]


def report(
    execution: Execution = None,
    output: Output = None,
    show: Open = False,
    every: All = False,
    follow: Follow = False,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Write one HTML page of an execution: steps, data, figures, answers, gate, version, and what to do next."""
    if every and (execution or follow):
        raise UserError("--all is of all executions: leave out the execution and --follow")
    words = ("report", execution, "--all" if every else None)
    with place_of(words, local, local_root, settings) as place:
        if every:
            file, told = _write_all(place, output, local_root)
        else:
            named = place.find(execution)
            facts, file = _write(place, named, output, local_root, settings)
            told = {"execution": id_of(named), "status": facts.execution.status}
    if show:
        _open(file)
    if not every and not facts.ended:
        if follow:
            say(f"{file}: written again every {WATCH_SECONDS} seconds until the execution has ended; Ctrl-C stops that")
            told["status"] = _follow(words, named, file, local, local_root, settings)
        else:
            say(f"execution {told['execution']} is running: with --follow its page is written again until it has ended")
    if as_json:
        print_json({**told, "file": str(file)})
    else:
        print(file)


def _write(place: Place, execution: str, output: Path | None, root: Path, settings: Path) -> tuple[Facts, Path]:
    from pipeline.report.page import render

    summary, steps = place.status(execution)
    parameters = place.parameters(execution)
    again = f"python pipeline.py start{history.assignments(parameters)}{place.options}"
    prices = _prices(place)
    facts = gather(source_of(place, execution), summary, steps, parameters, again, prices, _advice(steps))
    file = _place(output, root, f"{summary.pipeline}-{summary.id}.html")
    write_text(file, render(facts, what_next(facts, place.options, package_group(settings))))
    return facts, file


def _place(output: Path | None, root: Path, name: str) -> Path:
    """Where a page is written: where it was asked for, or below the local state, which is its user's alone."""
    if output is None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)  # it quotes the data
    return (output or root / FOLDER / name).resolve()


def _write_all(place: Place, output: Path | None, root: Path) -> tuple[Path, dict[str, str]]:
    from pipeline.report import runs as page

    runs, notes = runs_of(place)
    pipelines = sorted({run.execution.pipeline for run in runs})
    file = _place(output, root, f"{pipelines[0] if len(pipelines) == 1 else 'all'}-runs.html")
    write_text(file, page.render(runs, notes, place.options))
    return file, {"executions": str(len(runs))}


def _follow(words: tuple[str | None, ...], execution: str, file: Path, local: bool, root: Path, settings: Path) -> str:
    """Write the page until the execution has ended; how it ended."""
    status = ""
    while status not in ENDED:
        time.sleep(WATCH_SECONDS)
        with place_of(words, local, root, settings) as place:
            status = _write(place, execution, file, root, settings)[0].execution.status
    return status


def _prices(place: Place) -> dict[str, float] | None:
    """The account's price table, where its settings name one; a run on this machine costs nothing."""
    if not isinstance(place, PlaceOnAws) or place.there.workflow.prices is None:
        return None
    return dict(costs.load_prices(place.there.workflow.prices))


def _advice(steps: Sequence[StepSummary]) -> dict[str, str]:
    found = {step.name: advice_on(step.failure_reason or "").strip() for step in steps if step.status == "Failed"}
    return {name: said for name, said in found.items() if said}


def _open(file: Path) -> None:
    if not webbrowser.open(file.as_uri()):
        say(f"no browser was found here; open {file} in one")
