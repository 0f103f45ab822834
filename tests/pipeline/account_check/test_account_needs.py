"""What is simulated is what the template's policies allow: one list of actions, and none of it left out."""

from __future__ import annotations

from dataclasses import replace

from pipeline.account import template
from pipeline.account_check import needs
from pipeline.account_check.context import Context
from tests.pipeline.account_check import moto_account
from tests.pipeline.account_check.conftest import with_settings, with_training
from tests.pipeline.moto_server import ACCOUNT

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1a2b"
APP = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:mlflow-app/app-1"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-trackers-GhIjKl"


def test_every_statement_of_the_jobs_role_has_its_resources() -> None:
    assert set(needs.RESOURCES) == set(needs.statements())
    assert len(needs.statements()) >= 15


def with_everything(context: Context) -> Context:
    """The quickstart with keys, a network, a secret and an MLflow App."""
    security = context.workflow.account.security.model_copy(
        update={
            "subnets": ["subnet-0123abcd"],
            "security_groups": ["sg-0123abcd"],
            "volume_kms_key": "1a2b",
            "output_kms_key": KEY,
        }
    )
    found = with_settings(context, security=security)
    recipe = found.workflow.recipe.model_copy(update={"mlflow_uri": APP})
    found = replace(found, workflow=replace(found.workflow, recipe=recipe))
    return with_training(found, Environment={"WANDB_API_KEY_SECRET_ARN": f"{SECRET}#wandb"})


def test_the_templates_policies_allow_all_that_is_simulated_and_all_of_it_is(quickstart: Context) -> None:
    found = needs.of(with_everything(quickstart))
    statements = [one for _, document in moto_account.template_policies() for one in document["Statement"]]
    for need in found:
        keys = {key: value for key, _, value in need.keys}
        for action in need.actions:
            assert moto_account.allows(statements, action, need.resource, keys) == "allowed", (action, need)
    listed = {action for one in needs.statements().values() for action in template.listed(one["Action"])}
    assert {action for need in found for action in need.actions} == listed


def test_what_a_workflow_does_not_use_is_not_asked_for(quickstart: Context) -> None:
    actions = {action for need in needs.of(quickstart) for action in need.actions}
    prefixes = ("kms:", "ec2:", "secretsmanager:", "sagemaker-mlflow:")
    assert not [action for action in actions if action.startswith(prefixes)]
    assert {"sagemaker:CreateTrainingJob", "iam:PassRole", "s3:PutObject", "ecr:BatchGetImage"} <= actions


def test_an_action_is_asked_for_on_what_it_acts_on(quickstart: Context) -> None:
    """A role that is allowed CreateTrainingJob on training jobs alone has all that it needs."""
    named = [need for need in needs.of(quickstart) if need.resource != needs.ANYTHING]
    on = {(action, need.resource.split(":")[5].partition("/")[0]) for need in named for action in need.actions}
    assert ("sagemaker:CreateTrainingJob", "training-job") in on
    assert ("sagemaker:CreateTrainingJob", "processing-job") not in on
    assert ("sagemaker:ListModelPackages", "model-package-group") in on
    assert ("sagemaker:CreateModelPackage", "model-package") in on


def test_data_in_another_bucket_must_be_readable_there(quickstart: Context) -> None:
    values = [dict(one) for one in quickstart.definition["Parameters"]]
    next(one for one in values if one["Name"] == "InputDataUri")["DefaultValue"] = "s3://theirs/pairs/"
    found = needs.of(replace(quickstart, definition=quickstart.definition | {"Parameters": values}))
    theirs = {need.resource: need.actions for need in found if ":::theirs" in need.resource}
    assert theirs == {
        "arn:aws:s3:::theirs": ("s3:ListBucket",),
        "arn:aws:s3:::theirs/pairs/pipelines-account-check": ("s3:GetObject",),
    }
