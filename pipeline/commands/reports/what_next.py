"""The commands that come next, for the page of an execution."""

from __future__ import annotations

import re

from pipeline.commands.shared.after_failure import next_commands
from pipeline.report.facts import Command, Facts
from pipeline.versions.registry import APPROVED, ModelVersion

COMMAND = re.compile(r"(?P<purpose>.*?):? ?(?P<command>python pipeline\.py .*)")


def what_next(facts: Facts, options: str, group: str) -> list[Command]:
    """In the order in which a person comes to them.

    Args:
        options: what a command needs to mean the same place, with a space before.
        group: the model package group that commands mean without `--group`.
    """
    execution = facts.execution
    if not facts.ended:
        return [
            Command("Watch it to its end", f"python pipeline.py status{options} {execution.id} --wait"),
            Command("See the log of the running step", f"python pipeline.py logs{options} {execution.id} --follow"),
            Command("Stop it; retry goes on later", f"python pipeline.py stop{options} {execution.id}"),
        ]
    if execution.status != "Succeeded":
        return [_split(line) for line in next_commands(execution, facts.steps, options)]
    if facts.version is None:
        return [Command("Start the next one", f"python pipeline.py start{options}")]
    words = options if facts.version.group == group else f"{options} --group {facts.version.group}"
    return _of_version(facts, facts.version, words)


def _of_version(facts: Facts, version: ModelVersion, words: str) -> list[Command]:
    number = version.version
    found = [Command("Ask it something, beside its base", f'python pipeline.py try {number} "Hello" --base{words}')]
    if facts.champion and facts.champion != number:
        against = f"Compare it with the champion, version {facts.champion}"
        found.append(Command(against, f"python pipeline.py compare {facts.champion} {number}{words}"))
    if version.approval_status != APPROVED:
        found.append(Command("Approve it: it becomes the champion", f"python pipeline.py approve {number}{words}"))
        if version.approval_status != "Rejected":
            found.append(Command("Or reject it", f"python pipeline.py reject {number}{words}"))
    if not facts.local:
        found.append(Command("Serve it, once it is approved", f"python pipeline.py deploy {number}{words}"))
    return found


def _split(line: str) -> Command:
    """A line of advice as what it is for and its command; a remark in brackets stands without them."""
    if line.startswith("(") and line.endswith(")"):
        line = line[1].upper() + line[2:-1]
    found = COMMAND.fullmatch(line)
    return Command(found["purpose"], found["command"]) if found else Command(line)
