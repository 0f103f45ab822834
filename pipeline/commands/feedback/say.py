"""feedback: what you think of an answer, on this machine or into the prefix that the pipeline on AWS reads."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import feedback as form
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
)
from pipeline.errors import UserError
from pipeline.local.state import conversations
from pipeline.settings.schema import WorkflowFile
from pipeline.step_kit.network_and_keys import upload
from steps.shared import typed_yaml

Inference = Annotated[
    str, typer.Argument(metavar="ID", help="Inference id: `try` prints it, an application gives it to the endpoint.")
]
Up = Annotated[bool, typer.Option("--up", help="The answer is good.")]
Down = Annotated[bool, typer.Option("--down", help="The answer is bad.")]
Correct = Annotated[
    Path | None,
    typer.Option(
        "--correct",
        metavar="FILE",
        help="What should have been answered: a text, or a message with content or tool_calls as .json.",
        show_default=False,
    ),
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why.", show_default=False)]
By = Annotated[str | None, typer.Option("--by", help="Who says so; of each, the latest counts.", show_default=False)]


def feedback(
    inference_id: Inference,
    up: Up = False,
    down: Down = False,
    correct: Correct = None,
    reason: Reason = None,
    by: By = None,
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Say what you think of an answer; the next run of a workflow with `collect:` makes pairs of it."""
    if up and down:
        raise UserError("--up and --down: give one of them")
    verdict = "up" if up else "down" if down else None
    said: dict[str, Any] = {"correction": _correction(correct) if correct else None, "reason": reason, "by": by}
    try:
        form.opinion(inference_id, verdict, **said)
    except ValueError as error:
        raise UserError(f"{error}; give --up, --down or --correct FILE") from None
    if local:
        name = typed_yaml.load(settings, WorkflowFile).pipeline_name
        conversations.require_captured(local_root, name, inference_id)
        where = form.say(conversations.feedback(local_root, name), inference_id, verdict, **said)
    else:
        words = [inference_id, *(["--up"] if up else ["--down"] if down else [])]
        options = {"--correct": correct, "--reason": reason, "--by": by}
        words += [word for name, value in options.items() if value for word in (name, str(value))]
        verb = f"feedback {shlex.join(words)}"
        with remote(verb, settings, changes=True, here=Here(verb, local_root)) as there:
            place, encryption = there.workflow.feedback_uri, upload(there.workflow.account.security)
            where = form.say(place, inference_id, verdict, client=there.client("s3"), encryption=encryption, **said)
    if as_json:
        print_json({"inference_id": inference_id, "written": where})
    else:
        print(f"noted: {where}")


def _correction(path: Path) -> str | dict[str, Any]:
    """
    Raises:
        UserError: the file cannot be read, or a .json file holds no message.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text) if path.suffix == ".json" else text.rstrip("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"--correct {path}: cannot be read ({error}); name a text, or a message as .json") from None
    if not isinstance(value, str | dict):
        raise UserError(f'--correct {path}: must be a message, such as {{"content": "…"}}, or {{"tool_calls": […]}}')
    return value
