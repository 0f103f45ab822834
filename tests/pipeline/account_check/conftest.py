"""The quickstart as a check sees it, with clients of a test's own; no account anywhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.account_check.context import Context, Places
from pipeline.definition.render import render
from pipeline.settings import workflow as workflow_settings
from tests.pipeline import moto_server


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Its clients and its reading of addresses fail: a test gives those that it needs."""
    settings = moto_server.write_settings(tmp_path_factory.mktemp("quickstart"))
    workflow = workflow_settings.load(settings)
    definition = json.loads(render(workflow))

    def none(*words: Any) -> Any:
        raise AssertionError(f"asked for {words}")

    return Context(workflow, definition, none, Places.of(settings, workflow), " --settings s.yaml", none)


@pytest.fixture
def stubs() -> Iterator[Callable[[str], Stubber]]:
    """botocore's Stubber of a service: it compares requests and answers with the API model."""
    made: dict[str, Stubber] = {}

    def of(service: str) -> Stubber:
        if service not in made:
            keys = {"aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": "us-east-1"}
            made[service] = Stubber(boto3.client(service, **keys))
            made[service].activate()
        return made[service]

    yield of
    for stub in made.values():
        stub.assert_no_pending_responses()


@pytest.fixture
def context(quickstart: Context, stubs: Callable[[str], Stubber]) -> Context:
    return replace(quickstart, client=lambda service, region=None: stubs(service).client)


def with_settings(context: Context, **account: Any) -> Context:
    """The same workflow in an account with other settings."""
    changed = context.workflow.account.model_copy(update=account)
    return replace(context, workflow=replace(context.workflow, account=changed))


def with_training(context: Context, **arguments: Any) -> Context:
    """The same workflow whose training job has other arguments: `ResourceConfig` and the like."""
    definition = copy.deepcopy(context.definition)
    step(definition, "Train")["Arguments"].update(arguments)
    return replace(context, definition=definition)


def step(value: Any, name: str) -> dict[str, Any]:
    """The step of that name in a definition, wherever it is nested."""
    if isinstance(value, dict) and value.get("Name") == name and "Arguments" in value:
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, (step(one, name) for one in inner)), {})
