"""What the check itself may not look at, and IAM's verdicts on the role, against botocore's Stubber."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from pipeline.account_check import needs, side_by_side
from pipeline.account_check.context import Context, Look
from pipeline.account_check.needs import Need
from pipeline.account_check.subjects import identity, role, table
from pipeline.settings.account import Roles
from tests.paths import ROOT
from tests.pipeline.account_check.conftest import with_settings
from tests.pipeline.moto_server import ACCOUNT

Stubs = Callable[[str], Stubber]
JOB = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/pipelines-account-check"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/dpo-pipeline-execution"
NEED = Need(ROLE, "role_arn", JOB, ("sagemaker:CreateTrainingJob",))
REFUSED = "User: arn:aws:iam::1:user/a is not authorized to perform: {} on resource: x"


def test_a_missing_permission_of_the_check_itself_is_a_finding(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_client_error("get_role", "AccessDenied", REFUSED.format("iam:GetRole"))
    found = table._found(next(iter(role.looks(context))))
    assert [(one.level, one.what) for one in found] == [("unknown", "could not be looked at: needs iam:GetRole")]
    assert '"Action": "iam:GetRole"' in found[0].fix


def test_a_refusal_that_names_no_action_gets_those_of_the_look(context: Context, stubs: Stubs) -> None:
    stubs("s3").add_client_error("get_bucket_location", "403", "Forbidden")
    look = Look("x", ("s3:A", "s3:B"), lambda: [stubs("s3").client.get_bucket_location(Bucket="b")])
    (found,) = table._found(look)
    assert found.what == "could not be looked at: needs s3:A and s3:B"


def test_what_was_found_before_a_refusal_is_kept(context: Context, stubs: Stubs) -> None:
    def find() -> Any:
        yield role.error("first", "fix")
        raise TimeoutError("no answer")

    found = table._found(Look("x", (), find))
    assert [(one.level, one.what) for one in found] == [
        ("error", "first"),
        ("unknown", "could not be looked at: no answer"),
    ]


def simulation(decision: str, **more: Any) -> dict[str, Any]:
    return {"EvaluationResults": [{"EvalActionName": "sagemaker:CreateTrainingJob", "EvalDecision": decision, **more}]}


@pytest.mark.parametrize(
    ("answer", "level", "says"),
    [
        (simulation("implicitDeny"), "error", "training-job/pipelines-*"),
        (simulation("explicitDeny"), "error", ": a policy denies it"),
        (
            simulation("implicitDeny", OrganizationsDecisionDetail={"AllowedByOrganizations": False}),
            "error",
            ": the organization's policies do not allow it",
        ),
        (
            simulation("implicitDeny", MissingContextValues=["aws:RequestTag/team"]),
            "unknown",
            "unless a condition holds that cannot be tried here (aws:RequestTag/team)",
        ),
        (
            simulation(
                "explicitDeny",
                ResourceSpecificResults=[
                    {
                        "EvalResourceName": JOB,
                        "EvalResourceDecision": "explicitDeny",
                        "MissingContextValues": ["aws:PrincipalOrgID"],
                    }
                ],
            ),
            "unknown",
            "unless a condition holds that cannot be tried here (aws:PrincipalOrgID)",
        ),
    ],
)
def test_each_of_iams_verdicts_is_worded(
    context: Context, stubs: Stubs, answer: dict[str, Any], level: str, says: str
) -> None:
    request = {
        "PolicySourceArn": ROLE,
        "ActionNames": ["sagemaker:CreateTrainingJob"],
        "ResourceArns": [JOB],
        "ContextEntries": ANY,
    }
    stubs("iam").add_response("simulate_principal_policy", answer, request)
    (found,) = role.simulated(context, NEED)
    assert found.level == level and says in found.what


@pytest.mark.parametrize(("details", "findings"), [({"iam": "allowed", "resource": "implicitDeny"}, 0), ({}, 1)])
def test_a_resource_of_another_account_is_judged_by_the_roles_own_policies(
    context: Context, stubs: Stubs, details: dict[str, str], findings: int
) -> None:
    image = replace(NEED, resource="arn:aws:ecr:us-east-1:763104351884:repository/djl-inference")
    stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny", EvalDecisionDetails=details))
    found = list(role.simulated(context, image))
    assert [one.level for one in found] == ["unknown"] * findings


def test_a_need_that_is_allowed_is_no_finding(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_response("simulate_principal_policy", simulation("allowed"))
    assert list(role.simulated(context, NEED)) == []


def test_the_statement_to_add_is_of_any_jobs_name(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny"))
    (found,) = role.simulated(context, NEED)
    statement = json.loads(found.fix[found.fix.index("{") :])
    assert statement == {
        "Effect": "Allow",
        "Action": ["sagemaker:CreateTrainingJob"],
        "Resource": JOB.replace("account-check", "*"),
    }


SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:dpo-"


@pytest.mark.parametrize("name", ["mlflow", "trackers"])
def test_a_secret_is_tried_by_its_whole_arn(context: Context, stubs: Stubs, name: str) -> None:
    """Policies mean the ARN with AWS's suffix, whether or not the settings have it."""
    need = Need(ROLE, "role_arn", SECRET + name, ("secretsmanager:GetSecretValue",))
    stubs("secretsmanager").add_response(
        "describe_secret", {"ARN": f"{SECRET}{name}-AbCdEf"}, {"SecretId": SECRET + name}
    )
    request = {
        "PolicySourceArn": ROLE,
        "ActionNames": ["secretsmanager:GetSecretValue"],
        "ResourceArns": [f"{SECRET}{name}-AbCdEf"],
        "ContextEntries": ANY,
    }
    stubs("iam").add_response("simulate_principal_policy", simulation("allowed"), request)
    assert list(role.simulated(context, need)) == []


def test_a_role_for_all_that_is_the_pipelines_own_is_one_finding(context: Context, stubs: Stubs) -> None:
    """Of an account.yaml of before, each of dozens of actions is denied for the same reason."""
    old = with_settings(context, roles=Roles())
    found = set()
    for _, need in zip(range(3), needs.of(old), strict=False):
        stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny"))
        found |= set(role.simulated(old, need))
    (one,) = found
    assert one.level == "error" and "names no `roles` for champion, preprocess, train, gate, merge" in one.what
    assert "dpo-pipeline-execution, which is the pipeline's own" in one.what
    assert "python pipeline.py bootstrap --settings s.yaml; put the lines `roles` that it prints into" in one.fix


def test_a_role_of_ones_own_for_all_is_told_action_by_action(context: Context, stubs: Stubs) -> None:
    own = with_settings(context, roles=Roles(), role_arn=f"arn:aws:iam::{ACCOUNT}:role/ours")
    stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny"))
    (found,) = role.simulated(own, replace(NEED, role=own.workflow.account.role_arn))
    assert "the role ours may not do sagemaker:CreateTrainingJob" in found.what


def test_only_the_endpoints_role_missing_hides_nothing_of_the_pipelines(context: Context, stubs: Stubs) -> None:
    some = with_settings(context, roles=context.workflow.account.roles.model_copy(update={"serve": None}))
    levels = {}
    for fatal in (True, False):
        stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny"))
        (found,) = role.simulated(some, replace(NEED, fatal=fatal))
        levels[found.level] = "names no `roles` for serve" in found.what
    assert levels == {"error": False, "warning": True}


def test_the_command_that_opens_buckets_says_what_it_replaces(context: Context, stubs: Stubs) -> None:
    stubs("iam").add_response("simulate_principal_policy", simulation("implicitDeny"))
    option = " --set 'ReadArns=arn:aws:s3:::theirs,arn:aws:s3:::theirs/*'"
    (found,) = role.simulated(context, replace(NEED, option=option))
    assert f"bootstrap{option} --settings s.yaml (this replaces all of ReadArns: add what other" in found.fix


def trusted(context: Context, condition: Mapping[str, Any]) -> bool:
    return role._of_account(condition, context)


def test_a_trust_policy_for_another_account_is_seen(context: Context) -> None:
    assert trusted(context, {"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    assert trusted(context, {})
    assert not trusted(context, {"StringEquals": {"AWS:SourceAccount": ["999999999999"]}})


def test_what_does_not_answer_in_time_is_said_and_the_rest_is_shown(
    context: Context, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def never() -> list[Any]:
        answered.wait(20)
        return []

    looks = [Look("here", (), never), Look("there", (), lambda: [role.error("wrong", "fix")])]
    monkeypatch.setattr(table, "SECONDS", 0.3)
    monkeypatch.setattr(table, "SUBJECTS", {"role": lambda context: looks})
    identity = {"UserId": "a", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/a"}
    stubs("sts").add_response("get_caller_identity", identity)
    found = table.run(context).findings
    answered.set()
    assert [(one.level, one.where) for one in found] == [("unknown", "here"), ("error", "there")]
    assert "no answer within 0.3 s" in found[0].what


def test_a_look_that_fails_is_a_finding_and_hides_no_other(
    context: Context, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> list[Any]:
        raise TypeError("unhashable")

    def unnamed(context: Context) -> list[Look]:
        raise KeyError("Step")

    looks = [Look("here", (), fails), Look("there", (), lambda: [role.error("wrong", "fix")])]
    monkeypatch.setattr(table, "SUBJECTS", {"data": unnamed, "role": lambda context: looks})
    identity = {"UserId": "a", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/a"}
    stubs("sts").add_response("get_caller_identity", identity)
    unlisted, failed, other = table.run(context).findings
    assert (unlisted.level, unlisted.subject, unlisted.where) == ("unknown", "data", "the subject data")
    assert "failed with KeyError: 'Step' (test_account_role.py line" in unlisted.what
    assert (failed.level, failed.subject, failed.where) == ("unknown", "role", "here")
    assert "failed with TypeError: unhashable (test_account_role.py line" in failed.what
    assert other.what == "wrong"


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    code = (
        "import time; from pipeline.account_check import side_by_side;"
        "print(side_by_side.run([lambda: time.sleep(60), lambda: 1], 2, 0.2))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30, capture_output=True, text=True)
    assert done.stdout == "[None, 1]\n"


def test_results_are_in_the_order_of_the_tasks() -> None:
    tasks = [partial(lambda value: value, number) for number in range(20)]
    assert side_by_side.run(tasks, 3, 20) == list(range(20)) and side_by_side.run([], 3, 20) == []


def test_an_answer_that_is_no_json_is_a_finding(context: Context) -> None:
    look = Look("here", (), lambda: json.loads("<html>"))
    (found,) = table._found(look)
    assert found.level == "unknown" and "could not be looked at: Expecting value" in found.what


def test_settings_of_another_account_or_an_unknown_region_are_named(context: Context) -> None:
    changed = with_settings(context, region="us-east-9", role_arn="arn:aws:iam::999999999999:role/dpo")
    found = [(one.level, one.what) for look in identity.looks(changed) for one in look.find()]
    assert [level for level, _ in found] == ["warning", "error"]
    assert "boto3 knows no SageMaker in us-east-9; it knows " in found[0][1] and "us-east-1" in found[0][1]
    assert f"the role is of account 999999999999, and the jobs run in {ACCOUNT}" in found[1][1]
    assert [one for look in identity.looks(context) for one in look.find()] == []
