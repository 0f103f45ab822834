"""images build, images push: the containers' images, from this checkout to ECR."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.account import docker_command
from pipeline.account import images as project_images
from pipeline.aws import errors as aws
from pipeline.aws.client import check_account, client
from pipeline.commands.shared.options import DEFAULT_SETTINGS, Settings, say, where
from pipeline.errors import UserError
from pipeline.settings import workflow as workflow_settings


class Action(StrEnum):
    """What to do with the images."""

    build = "build"
    push = "push"


Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[IMAGE]...", help="training, processing, spark; without one those of the workflow."),
]
BuildArgs = Annotated[
    list[str], typer.Option("--build-arg", metavar="NAME=VALUE", help="With build: for the Dockerfile, as BASE_IMAGE.")
]


def images(
    action: Annotated[Action, typer.Argument(metavar="build|push", help="Build here, or push what was built.")],
    names: Names = None,
    build_args: BuildArgs = [],  # noqa: B006 (typer reads the default and never changes it)
    settings: Settings = DEFAULT_SETTINGS,
) -> None:
    """Build the containers' images from this checkout, or push them to ECR and pin their digests in the settings."""
    words = "".join(f" {shlex.quote(name)}" for name in names or ())
    command = f"python pipeline.py images {action}{words}{where(False, settings)}"
    workflow = workflow_settings.load(settings)
    account, on_spark = workflow.account, bool(workflow.settings.on_spark)
    chosen = project_images.chosen(names or [], account.images.model_dump(), workflow.code_version, on_spark)
    docker_command.require_engine(command)
    given = dict(_pair(text) for text in build_args)
    with aws.translated(command):
        if action == Action.build:
            for image in chosen:
                base = project_images.build(image, given, _client, command)
                local = "" if "@" in base else ", which was made on this machine and has no digest"
                say(f"images.{image.name}: built {image.reference} on {base}{local}")
            print(f"push them: {command.replace('images build', 'images push')}")
            return
        if build_args:
            raise UserError("--build-arg belongs to build; push takes what was built")
        check_account(_client("sts", account.region), account.account_id, command)
        path = settings.parent / workflow.settings.account
        for image in chosen:  # each is pinned at once: a push that fails later takes nothing back
            _pin(path, image.name, project_images.push(image, _client, command))
    print(f"deploy them: python pipeline.py upsert{where(False, settings)}")


def _pin(path: Path, name: str, uri: str) -> None:
    changed = project_images.pin(path, name, uri)
    if changed:
        print(f"{path} line {changed[0]}  {name}: {changed[1]}\n  -> {uri}")
    else:
        print(f"{path}: {name} has this digest already")


def _client(service: str, region: str) -> Any:
    return client(service, region)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"--build-arg {text}: must look like NAME=VALUE")
    return name, value
