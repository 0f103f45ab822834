"""Pipelines refuses a member that the API has: the steps that hold it, and what to do."""

from __future__ import annotations

import json
from functools import cache

import pytest
from botocore.exceptions import ClientError

from pipeline.aws.refused_members import explained
from pipeline.definition.render import render
from pipeline.errors import UserError
from pipeline.settings import workflow as settings

COMMAND = "python pipeline.py upsert"
WORDS = "Unable to parse pipeline definition. Unknown Argument member '{}'"


@cache
def definition() -> str:
    return render(settings.load(settings.DEFAULT_SETTINGS))


def refusal(message: str, code: str = "ValidationException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreatePipeline")


def said(error: ClientError) -> str:
    with pytest.raises(UserError) as caught, explained(definition(), COMMAND):
        raise error
    return str(caught.value)


@pytest.mark.parametrize("member", ["ModelDataSource", "ModelCard", "CustomerMetadataProperties"])
def test_a_member_of_the_registration_leads_to_the_job_that_registers(member: str) -> None:
    assert member in definition()
    assert said(refusal(WORDS.format(member))) == (
        f"AWS: Pipelines does not take {member} in RegisterMerged, RegisterAdapter ({WORDS.format(member)}); the API "
        "does, but Pipelines has its own list. Let a small job register instead: `register_with: job` in the section "
        f"`register` of the settings, then: {COMMAND}"
    )


def test_a_member_of_other_steps_is_named_with_them() -> None:
    text = said(refusal(WORDS.format("Environment")))
    assert "Environment in Preprocess, " in text and "RegisterMerged" in text and "register_with" not in text
    assert text.endswith(f"Leave out the setting that Environment comes from, then: {COMMAND}")
    assert "Other in any step (" in said(refusal(WORDS.format("Other")))


@pytest.mark.parametrize("error", [refusal("Rate exceeded", "ThrottlingException"), refusal("the role is no role")])
def test_any_other_refusal_stays_as_it_is(error: ClientError) -> None:
    with pytest.raises(ClientError), explained(definition(), COMMAND):
        raise error


def test_a_definition_whose_job_registers_holds_no_such_step(tmp_path) -> None:
    workflow = settings.DEFAULT_SETTINGS.read_text().replace("register:\n", "register:\n  register_with: job\n")
    folder = settings.DEFAULT_SETTINGS.parent
    for name in ("account", "recipes/quickstart"):
        workflow = workflow.replace(f"{name}.yaml", str(folder / f"{name}.yaml"))
    (tmp_path / "quickstart.yaml").write_text(
        workflow.replace("../steps", str(folder.parent / "steps")) + f"account: {folder}/account.yaml\n"
    )
    rendered = render(settings.load(tmp_path / "quickstart.yaml"))
    assert "RegisterModel" not in rendered and json.loads(rendered)["Steps"]
