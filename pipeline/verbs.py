"""The verbs of the command line, with what the list of them says: no command is imported before it is asked for.

A line here is the first one of the function's docstring, which a test holds; a verb's options are its function's alone.
"""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand

COMMANDS = "pipeline.commands"
# One group of the help a line: what a person is about to do, in the order in which they come to it.
RUN, LOOK, DECIDE, SERVE = "Run", "Look at executions", "Judge versions", "Serve"
AUTOMATE, ACCOUNT = "Automate", "Definition, account, this machine"
# By group: verb -> the function below `pipeline/commands`, and what it does.
VERBS: dict[str, dict[str, tuple[str, str]]] = {
    RUN: {
        "recipe": (
            "recipe.recipe",
            "Translate a file of TRL, axolotl or LLaMA-Factory into a recipe, and name every key that it cannot hold.",
        ),
        "check": (
            "check_show.check",
            "Check settings, recipe and the rendered definition against the AWS API model; lists all problems at once.",
        ),
        "start": ("start.start", "Start an execution, on AWS or with --local on this machine."),
        "stop": ("status_stop_retry.stop", "Stop a running execution; `retry` continues it."),
        "retry": (
            "status_stop_retry.retry",
            "Continue a failed or stopped execution from the step that failed, with the same parameters.",
        ),
    },
    LOOK: {
        "status": ("status_stop_retry.status", "Show an execution and the steps that it has reached."),
        "list": ("status_stop_retry.list_executions", "List executions, newest first."),
        "describe": (
            "describe.describe",
            "Show an execution's parameters: values, which of them were defaults, and what differs from today's "
            "defaults.",
        ),
        "report": (
            "reports.report.report",
            "Write one HTML page of an execution: steps, data, figures, answers, gate, version, and what to do next.",
        ),
        "logs": ("logs.logs", "Print the log of a step's job."),
    },
    DECIDE: {
        "models": ("models.models", "List the registered model versions, newest first; locally those of all groups."),
        "compare": (
            "compare.compare",
            "Compare two versions: figures side by side, how their training differed, and a test on their common rows.",
        ),
        "try": (
            "trying.try_version.try_version",
            "Send a prompt to a version on this machine, or without one converse with it; merged or adapter.",
        ),
        "approve": (
            "models.approve",
            "Approve a version; the newest approved one is the champion, which `deploy approved` serves.",
        ),
        "reject": (
            "models.reject",
            "Reject a version, an approved one too; an endpoint that serves it goes on until `deploy` or `undeploy`.",
        ),
    },
    SERVE: {
        "deploy": (
            "deploy.deploy",
            "Serve an approved version on an endpoint: a new one, or the one that is there in a blue/green update.",
        ),
        "undeploy": (
            "deploy.undeploy",
            "Delete an endpoint that `deploy` made, with its configurations and models; the versions stay registered.",
        ),
        "feedback": (
            "feedback.say.feedback",
            "Say what you think of an answer; the next run of a workflow with `collect:` makes pairs of it.",
        ),
        "forget": (
            "feedback.forget.forget",
            "Remove a person's or an answer's captures, feedback and pairs, and the rows of the runs that had them.",
        ),
    },
    AUTOMATE: {
        "schedule": (
            "automation.schedules.schedule",
            "Start the pipeline at set times; an execution without new data ends before training.",
        ),
        "schedules": (
            "automation.schedules.schedules",
            "List the pipeline's schedules: when each starts next, and with which parameters.",
        ),
        "unschedule": (
            "automation.schedules.unschedule",
            "Delete a schedule; executions that it has started go on.",
        ),
        "trigger": (
            "automation.triggers.trigger",
            "Start the pipeline when uploads to a prefix have ended, or notify a target of yours of each approved "
            "version.",
        ),
        "triggers": (
            "automation.triggers.triggers",
            "List the pipeline's triggers: what each waits for, and what it starts.",
        ),
        "untrigger": (
            "automation.triggers.untrigger",
            "Delete a trigger and any start that it has planned; the bucket keeps sending events to EventBridge.",
        ),
    },
    ACCOUNT: {
        "bootstrap": (
            "bootstrap.bootstrap",
            "Make or update bucket, roles, repositories and queue in the account; shows the changes first.",
        ),
        "images": (
            "images.images",
            "Build the containers' images from this checkout, or push them to ECR and pin their digests in the "
            "settings.",
        ),
        "upsert": (
            "upsert.upsert",
            "Check the definition, show what would change, and create or update the pipeline on AWS with all it needs.",
        ),
        "show": ("check_show.show", "Draw the pipeline: its steps as a tree, and its parameters."),
        "definition": (
            "check_show.print_definition",
            "Print the pipeline definition (JSON); the same settings give the same bytes.",
        ),
        "delete": (
            "upsert.delete",
            "Delete the pipeline on AWS and the list of its executions; versions, data and models stay.",
        ),
        "teardown": (
            "bootstrap.teardown",
            "Remove the workflow's schedules and triggers, then the stack; keeps what holds data, and lists it.",
        ),
        "env": (
            "env.env",
            "Print what a report of a fault needs: versions, platform, Docker, GPUs, settings; no secrets, no "
            "accounts.",
        ),
    },
}


class Verb(TyperCommand):
    """A verb as the list shows it; `loaded` is the command itself, with its options."""

    def __init__(self, name: str, group: str, function: str, line: str) -> None:
        super().__init__(name, help=line, rich_help_panel=group)
        self._function = function

    def loaded(self) -> Any:
        """The command, from its function."""
        module, _, function = self._function.rpartition(".")
        alone = typer.Typer(add_completion=False)
        called = getattr(importlib.import_module(f"{COMMANDS}.{module}"), function)
        alone.command(self.name, rich_help_panel=self.rich_help_panel)(called)
        return typer.main.get_command(alone)

    def make_context(self, *words: Any, **more: Any) -> Any:
        """The context of the command: whoever runs a verb, or asks for its help, begins here."""
        return self.loaded().make_context(*words, **more)


def verbs() -> dict[str, Verb]:
    """Every verb by its name, in the order of the help."""
    return {name: Verb(name, group, *about) for group, named in VERBS.items() for name, about in named.items()}
