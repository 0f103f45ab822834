"""What is simulated is what the template's policies allow: one list of actions, and none of it left out."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.account import template
from pipeline.account_check import needs, resources
from pipeline.account_check.context import Context
from pipeline.settings.account import Roles
from pipeline.settings.candidates import Candidates
from pipeline.settings.collect import Collect
from tests.pipeline import iam
from tests.pipeline.account_check.conftest import step, with_settings, with_training
from tests.pipeline.moto_server import ACCOUNT

MODELS, ANYWHERE = "arn:aws:bedrock:us-east-1::foundation-model", "arn:aws:bedrock:*::foundation-model"
PROFILES = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile"
APP = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:mlflow-app/app-1"


def test_every_statement_of_the_roles_has_its_resources() -> None:
    sids = {statement["Sid"] for owner in needs.ROLES for statement in needs.statements(owner)}
    assert sids == set(resources.RESOURCES) and len(sids) >= 20
    roles = {name for name, one in iam.resources().items() if "sagemaker.amazonaws.com" in json.dumps(one)}
    assert {name for name in roles if iam.resources()[name]["Type"] == "AWS::IAM::Role"} == set(needs.ROLES)


def with_data(definition: dict[str, Any], uri: str) -> dict[str, Any]:
    """A copy whose data lies elsewhere."""
    copied = copy.deepcopy(definition)
    next(one for one in copied["Parameters"] if one["Name"] == "InputDataUri")["DefaultValue"] = uri
    return copied


def with_everything(context: Context) -> Context:
    """The quickstart with keys, a network, secrets, an MLflow App, data of another bucket, registered by a job;
    it collects what people say, and asks the champion again."""
    security = context.workflow.account.security.model_copy(
        update={
            "subnets": ["subnet-0123abcd"],
            "security_groups": ["sg-0123abcd"],
            "volume_kms_key": "1a2b",
            "output_kms_key": iam.KEY,
        }
    )
    found = with_settings(context, security=security)
    recipe = found.workflow.recipe.model_copy(update={"mlflow_uri": APP})
    register = found.workflow.settings.register_model.model_copy(update={"register_with": "job"})
    gate = found.workflow.settings.gate.model_copy(update={"judge": "the.judge-v1:0"})
    update = {"register_model": register, "gate": gate, "collect": Collect(), "candidates": Candidates()}
    settings = found.workflow.settings.model_copy(update=update)
    found = replace(found, workflow=replace(found.workflow, recipe=recipe, settings=settings))
    definition = with_data(found.definition, "s3://theirs/pairs/")
    named = {"HF_TOKEN_SECRET_ARN": iam.HUB}
    for name in ("Champion", "Merge"):
        step(definition, name)["Arguments"]["Environment"] = named
    named = named | {"WANDB_API_KEY_SECRET_ARN": f"{iam.TRACKERS}#wandb"}
    return with_training(replace(found, definition=definition), Environment=named)


def test_each_role_of_the_template_allows_all_that_is_simulated_of_it_and_all_of_it_is(quickstart: Context) -> None:
    found = needs.of(with_everything(quickstart))
    for owner, job in needs.ROLES.items():
        arn, _ = needs.role(quickstart, job)
        own = [need for need in found if need.role == arn]
        for need in own:
            keys = {key: value for key, _, value in need.keys}
            for action in need.actions:
                assert iam.decision(iam.of_role(owner), action, need.resource, keys) == "allowed", (action, need)
        listed = {action for one in needs.statements(owner) for action in template.listed(one["Action"])}
        assert {action for need in own for action in need.actions} == listed, owner


def test_what_a_workflow_does_not_use_is_not_asked_for(quickstart: Context) -> None:
    found = needs.of(quickstart)
    actions = {action for need in found for action in need.actions}
    prefixes = ("bedrock:", "kms:", "ec2:", "secretsmanager:", "sagemaker-mlflow:")
    assert not [action for action in actions if action.startswith(prefixes)]
    assert {"sagemaker:CreateTrainingJob", "iam:PassRole", "s3:PutObject", "ecr:BatchGetImage"} <= actions
    assert "roles.register_job" not in {need.setting for need in found}


def test_one_role_for_all_needs_what_each_of_them_needs_and_to_be_handed_on(quickstart: Context) -> None:
    found = needs.of(with_settings(quickstart, roles=Roles()))
    arn = quickstart.workflow.account.role_arn
    assert {(need.role, need.setting) for need in found} == {(arn, "role_arn")}
    writes = {need.resource.split("/")[-2] for need in found if "s3:PutObject" in need.actions}
    assert {"Champion", "Preprocess", "Train", "Gate", "Merge"} <= writes


def test_an_approved_registration_is_asked_for_where_the_settings_allow_it(quickstart: Context) -> None:
    def statuses(context: Context) -> list[str]:
        return [need.keys[0][2] for need in needs.of(context) if "sagemaker:CreateModelPackage" in need.actions]

    assert statuses(quickstart) == ["PendingManualApproval", "Rejected"]
    workflow = quickstart.workflow
    register = workflow.settings.register_model.model_copy(update={"allow_approved": True})
    settings = workflow.settings.model_copy(update={"register_model": register})
    allowing = replace(quickstart, workflow=replace(workflow, settings=settings))
    assert statuses(allowing) == ["PendingManualApproval", "Approved", "Rejected"]
    options = {need.option for need in needs.of(allowing) if "sagemaker:CreateModelPackage" in need.actions}
    assert options == {" --set AllowApproved=true"}


@pytest.mark.parametrize(
    ("judge", "here", "allowed"),
    [
        ("the.judge-v1:0", [f"{MODELS}/the.judge-v1:0"], [f"{ANYWHERE}/the.judge-v1:0"]),
        (
            "eu.the.judge-v1:0",
            [f"{PROFILES}/eu.the.judge-v1:0", f"{MODELS}/the.judge-v1:0"],
            [f"{PROFILES}/eu.the.judge-v1:0", f"{ANYWHERE}/the.judge-v1:0"],
        ),
        (
            f"{PROFILES}/global.the.judge",
            [f"{PROFILES}/global.the.judge", f"{MODELS}/the.judge"],
            [f"{PROFILES}/global.the.judge", f"{ANYWHERE}/the.judge"],
        ),
        (f"{MODELS}/the.judge", [f"{MODELS}/the.judge"], [f"{MODELS}/the.judge"]),
    ],
)
def test_a_judge_is_asked_for_with_the_model_that_its_profile_leads_to(
    quickstart: Context, judge: str, here: list[str], allowed: list[str]
) -> None:
    gate = quickstart.workflow.settings.gate.model_copy(update={"judge": judge})
    settings = quickstart.workflow.settings.model_copy(update={"gate": gate})
    judging = replace(quickstart, workflow=replace(quickstart.workflow, settings=settings))
    found = [need for need in needs.of(judging) if "bedrock:InvokeModel" in need.actions]
    assert [need.resource for need in found] == here
    assert {(need.setting, need.option) for need in found} == {
        ("roles.gate", f" --set 'JudgeArns={','.join(allowed)}'")
    }


def test_an_action_is_asked_for_on_what_it_acts_on(quickstart: Context) -> None:
    """A role that is allowed CreateTrainingJob on training jobs alone has all that it needs."""
    named = [need for need in needs.of(quickstart) if need.resource != resources.ANYTHING]
    on = {(action, need.resource.split(":")[5].partition("/")[0]) for need in named for action in need.actions}
    assert ("sagemaker:CreateTrainingJob", "training-job") in on
    assert ("sagemaker:CreateTrainingJob", "processing-job") not in on
    assert ("sagemaker:ListModelPackages", "model-package-group") in on
    assert ("sagemaker:CreateModelPackage", "model-package") in on


def test_data_in_another_bucket_must_be_readable_there(quickstart: Context) -> None:
    definition = with_data(quickstart.definition, "s3://theirs/pairs/")
    found = [need for need in needs.of(replace(quickstart, definition=definition)) if ":::theirs" in need.resource]
    assert {need.resource: need.actions for need in found} == {
        "arn:aws:s3:::theirs": ("s3:ListBucket",),
        "arn:aws:s3:::theirs/pairs/pipelines-account-check": ("s3:GetObject",),
    }
    assert {need.option for need in found} == {" --set 'ReadArns=arn:aws:s3:::theirs,arn:aws:s3:::theirs/*'"}
    assert "roles.gate" not in {need.setting for need in found}


def test_one_command_opens_all_the_other_buckets_of_a_workflow(quickstart: Context) -> None:
    """Each command replaces what the one before has allowed."""
    definition = with_data(quickstart.definition, "s3://theirs/pairs/")
    names = {one["Name"]: one for one in definition["Parameters"]}
    names["ModelUri"]["DefaultValue"] = "s3://models/base/"
    found = needs.of(replace(quickstart, definition=definition))
    assert {need.option for need in found if ":::theirs" in need.resource or ":::models" in need.resource} == {
        " --set 'ReadArns=arn:aws:s3:::models,arn:aws:s3:::models/*,arn:aws:s3:::theirs,arn:aws:s3:::theirs/*'"
    }
    names["ModelUri"]["DefaultValue"] = "s3://theirs/base/"
    found = needs.of(replace(quickstart, definition=definition))
    read = {need.resource for need in found if ":::theirs/" in need.resource}
    assert {place.rpartition("/")[0] for place in read} == {"arn:aws:s3:::theirs/pairs", "arn:aws:s3:::theirs/base"}
