"""What each part of an execution's page shows: from the facts to the values that its template prints.

A part without anything to tell is None. Files of another version may lack what is read here: the page says so then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.parameters.values import as_text
from pipeline.preflight.costs import JobUse
from pipeline.report import graph
from pipeline.report.facts import Facts
from pipeline.texts import moment
from pipeline.versions.linked import tracked
from steps.preprocess.report import quarantine
from steps.train.results import curves as drawn_curves
from steps.train.results import figures as held_out
from steps.train.results import spoken

View = dict[str, Any]
USED = ("given", "used")
VERDICTS = {"pass": "good", "fail": "bad"}


def told(facts: Facts) -> View | None:
    """Failed steps with their reasons, running ones with the end of their logs."""
    if not facts.told:
        return None
    return {"told": facts.told, "failed": any(one.step.status == "Failed" for one in facts.told)}


def steps(facts: Facts) -> View:
    """The graph, and a line a step: state, time, instances and bounds."""
    reached = {step.name: step for step in facts.steps}
    jobs = {job.step: job for job in facts.usage.jobs}
    lines = []
    for name in facts.definition.by_name:
        found = reached.get(name)
        idle = graph.idle_word(found, facts.execution.status)
        lines.append(
            {
                "name": name,
                "style": "" if idle or found is None else graph.STYLES.get(found.status, ""),
                "state": idle or (found.status if found else ""),
                "cached": bool(found and found.cached),
                "took": "" if idle or found is None else graph.took_of(found),
                **_bounds(jobs.get(name)),
            }
        )
    picture = graph.draw(facts.definition, facts.steps, facts.execution.status)
    return {
        "graph": picture,
        "box": (graph.WIDTH, graph.HEIGHT),
        "told": "; ".join(f"{node.name}: {node.said}" for node in picture.nodes),
        "cached": any(step.cached for step in facts.steps),
        "where": "Instances and bounds are those of a run on AWS." if facts.local else "",
        "lines": lines,
        "priced": facts.usage.dollars is not None or bool(facts.usage.unpriced),
        "bound": _bound(facts),
    }


def _bounds(job: JobUse | None) -> View:
    if job is None:
        return {"instances": "", "hours": "", "dollars": ""}
    spot = ", spot" if job.spot else ""
    dollars = "no price" if job.dollars is None else f"{job.dollars:,.2f}"
    return {
        "instances": f"{job.instance_count} x {job.instance_type}{spot}",
        "hours": f"{job.hours + job.warm_hours:g} h",
        "dollars": dollars,
    }


def _bound(facts: Facts) -> str:
    usage = facts.usage
    if not usage.jobs:
        return ""
    hours = f"{sum(job.instance_hours for job in usage.jobs):,.1f} instance-hours"
    if usage.unpriced:
        return f"At most {hours}; the price table has no price for {', '.join(usage.unpriced)}."
    if usage.dollars is None:
        return f"At most {hours}; with a table of prices (`prices` in the account's settings) the page shows dollars."
    return f"At most ${usage.dollars:,.2f} for {hours}, on-demand; cached steps cost nothing, spot costs less."


def data(facts: Facts) -> View | None:
    """What became of the rows that were read, and of those that training was given."""
    report = facts.left.report
    if report is None:
        return None
    return {
        "from": facts.inputs.get("InputDataUri", "The data"),
        "files": len(report["files"]),
        "formats": sorted(report["formats"].items(), key=lambda item: (-item[1], item[0])),
        "rows": report["rows"],
        "sides": quarantine.SIDES,
        "problem": quarantine.problem(report),
        "reasons": quarantine.reasons(report),
        "lost": _lost((facts.left.evaluation or {}).get("tokenised", {})),
        "feedback": _of_feedback((facts.left.evaluation or {}).get("feedback", {})),
    }


def _of_feedback(counts: Mapping[str, int]) -> Mapping[str, int] | None:
    """Rows that were made of what people said, and how often training saw them; None where there are none."""
    return counts if counts.get("train", 0) + counts.get("validation", 0) else None


def _lost(tokenised: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int, int, list[tuple[str, int]]]]:
    """Of each split that training cut or left rows out of: its name, rows given and used, and why."""
    found = []
    for split, counts in tokenised.items():
        if why := [(reason, count) for reason, count in counts.items() if reason not in USED and count]:
            found.append((split, counts["given"], counts["used"], why))
    return found


def figures(facts: Facts) -> View | None:
    """Held-out figures before and after training."""
    evaluation = facts.left.evaluation
    if evaluation is None:
        return None
    after = evaluation["after"]
    return {
        "rows": after["rows"],
        "after": after,
        "verdict": held_out.verdict(after),
        "figures": held_out.before_and_after(evaluation["before"], after),
    }


def champion(facts: Facts) -> View | None:
    """This model beside the champion."""
    found = (facts.left.evaluation or {}).get("champion")
    return {"champion": found} if found else None


def served(facts: Facts) -> View | None:
    """The figures in the form that is served."""
    evaluation = facts.left.evaluation or {}
    found = evaluation.get("served")
    return {"served": found, "shown": held_out.as_served(evaluation)} if found else None


def curves(facts: Facts) -> View | None:
    """The training's history."""
    panels = drawn_curves.panels(facts.history)
    if not panels:
        return None
    return {"panels": [drawn_curves.drawing(panel) for panel in panels], "whole": facts.left.history is not None}


def said(facts: Facts) -> View | None:
    """What base, model and champion answered, side by side."""
    section = (facts.left.evaluation or {}).get("answers")
    if not section:
        return None
    shown = spoken.view(section, facts.left.answers) if section["judged"] else None
    return {"section": section, "shown": shown, "kinds": spoken.KINDS}


def gate(facts: Facts) -> View | None:
    """The gate's decision and its rules."""
    found = facts.left.gate
    if found is None:
        return None
    rules = [
        {
            **rule,
            "style": VERDICTS.get(rule["verdict"], ""),
            "figure": _number(rule["figure"]),
            "limit": _number(rule["limit"]),
        }
        for rule in found.get("rules", [])
    ]
    return {"gate": found, "rules": rules}


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,.6g}" if isinstance(value, int | float) else str(value)


def version(facts: Facts) -> View | None:
    """The version that was registered."""
    found = facts.version
    if found is None:
        return None
    champion = "this version" if found.champion or facts.champion == found.version else None
    lines = [
        ("Group", found.group),
        ("Version", str(found.version)),
        ("Status", f"{found.approval_status}{f': {found.note}' if found.note else ''}"),
        (
            "Decided",
            f"{moment(found.changed)}{f' by {found.changed_by}' if found.changed_by else ''}" if found.changed else "",
        ),
        (
            "Champion of the group",
            champion or (f"version {facts.champion}" if facts.champion else "none is approved yet"),
        ),
        ("Registered", moment(found.created)),
        ("Variant", found.variant or ""),
        ("Files", facts.model),
        ("Hash of the manifest", found.metadata.get("manifest_sha256", "")),
        ("Run in MLflow", f"{run_there.run_id} of {run_there.uri}" if (run_there := tracked(found)) else ""),
        ("May be served on", ", ".join(found.instance_types)),
        ("ARN", "" if facts.local else found.arn),
    ]
    return {"lines": [line for line in lines if line[1]]}


def run(facts: Facts) -> View:
    """Pipeline, execution, dates, model, data, versions, parameters, and the command that starts the same again."""
    execution, left = facts.execution, facts.left
    metadata = facts.version.metadata if facts.version else {}
    manifest = left.manifest or {}
    commit = (left.champion or {}).get("model_commit", "none")
    lines = [
        ("Pipeline", execution.pipeline),
        ("Execution", f"{execution.id}{f' ({execution.name})' if execution.name else ''}"),
        ("ARN", "" if facts.local else execution.arn),
        ("Started", moment(execution.started)),
        ("Ended", moment(execution.ended)),
        *((_label(name), place) for name, place in facts.inputs.items()),
        ("Commit of the model", "" if commit == "none" else commit),
        ("Hash of the data", str((left.report or {}).get("data_hash", ""))),
        ("Fingerprint of the training", str(manifest.get("fingerprint", ""))),
        ("Version of the code", metadata.get("code_version", "")),
        ("Libraries", left.libraries),
        *((f"Image of {', '.join(names)}", image) for image, names in _images(facts).items()),
    ]
    return {
        "lines": [line for line in lines if line[1]],
        "again": facts.again,
        "parameters": [_parameter(use) for use in facts.parameters],
    }


def _label(name: str) -> str:
    return {"InputDataUri": "Data", "ModelUri": "Model"}.get(name, name)


def _images(facts: Facts) -> dict[str, list[str]]:
    """By image, the steps whose jobs run in it."""
    found: dict[str, list[str]] = {}
    for name, step in facts.definition.by_name.items():
        application = step.arguments.get("AppSpecification") or step.arguments.get("AlgorithmSpecification") or {}
        image = application.get("ImageUri") or application.get("TrainingImage")
        if isinstance(image, str):
            found.setdefault(image, []).append(name)
    return found


def _parameter(use: Any) -> View:
    then = "default" if use.was_default else f"set; default {_text(use.default_then)}"
    today = "the same" if not use.differs else _text(use.default_today)
    if use.value is None:
        return {"name": use.name, "value": "", "then": "not there yet", "today": _text(use.default_today)}
    return {"name": use.name, "value": as_text(use.value), "then": then, "today": today}


def _text(value: Any) -> str:
    return "none" if value is None else as_text(value)
