"""The roles of pipeline, jobs and endpoints: are they there, may SageMaker assume them, do they allow every action.

The actions are simulated by IAM (SimulatePrincipalPolicy) on the workflow's own ARNs. What the simulation leaves out:
the policies of buckets, keys and secrets, conditions in an organization's policies, and VPC endpoints' policies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.account.template import listed
from pipeline.account_check import needs, resources
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, unknown, warning
from pipeline.account_check.needs import Need
from pipeline.aws.errors import described, is_missing

SERVICE = "sagemaker.amazonaws.com"
ASSUME = ("sts:AssumeRole", "sts:*", "*")
GET, SIMULATE, SECRET = "iam:GetRole", "iam:SimulatePrincipalPolicy", "secretsmanager:DescribeSecret"
OF_THE_STACK, THE_PIPELINES = "-pipeline-", "-pipeline-execution"  # how bootstrap names them
OPERATORS = ("StringEquals", "StringLike", "ForAnyValue:StringEquals")


def looks(context: Context) -> Iterator[Look]:
    for arn, setting in needs.roles(context).items():
        yield Look(context.place("account", setting), (GET,), partial(_role, context, arn))
    for need in needs.of(context):
        actions = (SIMULATE, SECRET) if _is_secret(need) else (SIMULATE,)
        yield Look(context.place("account", need.setting), actions, partial(simulated, context, need))


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _role(context: Context, arn: str) -> Iterator[Finding]:
    role = described(lambda: context.client("iam").get_role(RoleName=_name(arn)))
    if role is None:
        yield error(
            f"there is no role {_name(arn)} in account {context.workflow.account.account_id}",
            f"make it: {context.command('bootstrap')}, or name one that is there",
        )
        return
    if role["Role"]["Arn"] != arn:
        yield error(
            f"the role of that name is {role['Role']['Arn']}", "write this ARN, which has the role's path in it"
        )
    statements = [one for one in listed(role["Role"]["AssumeRolePolicyDocument"]["Statement"]) if _trusts(one)]
    if not statements:
        yield error(
            f"SageMaker may not assume the role {_name(arn)}: no statement of its trust policy allows the service "
            f"{SERVICE} sts:AssumeRole",
            "add it (IAM console > Roles > the role > Trust relationships): " + json.dumps(_trust(context)),
        )
    elif not any(_of_account(one.get("Condition", {}), context) for one in statements):
        yield error(
            f"SageMaker may assume the role {_name(arn)} for other accounts or sources only: "
            + json.dumps(statements[0]["Condition"]),
            "let the condition say: " + json.dumps(_trust(context)["Condition"]),
        )


def _trust(context: Context) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": context.workflow.account.account_id}},
    }


def _trusts(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal", {})
    services = listed(principal.get("Service", [])) if isinstance(principal, dict) else [SERVICE]
    actions = listed(statement.get("Action", []))
    return statement["Effect"] == "Allow" and SERVICE in services and any(action in ASSUME for action in actions)


def _of_account(condition: Mapping[str, Any], context: Context) -> bool:
    """Whether a trust condition on the source account holds; other conditions are taken to hold."""
    account = context.workflow.account.account_id
    for operator in OPERATORS:
        wanted = {key.lower(): values for key, values in condition.get(operator, {}).items()}.get("aws:sourceaccount")
        if wanted is not None and account not in listed(wanted):
            return False
    return True


def simulated(context: Context, need: Need) -> Iterable[Finding]:
    """What of a need the role's policies do not allow.

    Nothing of a role or a secret that is not there, which is said elsewhere.
    """
    from botocore.exceptions import ClientError

    if _is_secret(need):  # the settings may name it without the suffix that AWS gives, and policies mean the whole ARN
        secrets = context.client("secretsmanager", need.resource.split(":")[3])
        secret = described(lambda: secrets.describe_secret(SecretId=need.resource))
        if secret is None:
            return
        need = replace(need, resource=secret["ARN"])
    entries = [
        *need.keys,
        ("aws:RequestedRegion", "string", context.region),
        ("aws:SecureTransport", "boolean", "true"),
    ]
    pages = context.client("iam").get_paginator("simulate_principal_policy")
    request = {
        "PolicySourceArn": need.role,
        "ActionNames": list(need.actions),
        "ResourceArns": [need.resource],
        "ContextEntries": [
            {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": [value]} for key, kind, value in entries
        ],
    }
    try:
        results = [result for page in pages.paginate(**request) for result in page["EvaluationResults"]]
    except ClientError as problem:
        if is_missing(problem):
            return
        raise
    foreign = need.resource.split(":")[4:5] not in ([], [""], [context.workflow.account.account_id])
    denied = [result for result in results if result["EvalDecision"] != "allowed" and not (foreign and _allows(result))]
    yield from _verdicts(context, need, denied, foreign)


def _is_secret(need: Need) -> bool:
    return ":secretsmanager:" in need.resource


def _allows(result: Mapping[str, Any]) -> bool:
    """Whether the role's own policies allow it, of a resource of another account, whose policy is not simulated."""
    return "allowed" in result.get("EvalDecisionDetails", {}).values()


def _verdicts(context: Context, need: Need, denied: list[dict[str, Any]], foreign: bool) -> Iterator[Finding]:
    """One finding for each reason; the actions with the same one together."""
    reasons: dict[str, list[dict[str, Any]]] = {}
    for result in denied:
        reasons.setdefault(_reason(result), []).append(result)
    for reason, results in reasons.items():
        if not reason and _serves_all(context, need):
            yield _unnamed(context)
            continue
        actions = [result["EvalActionName"] for result in results]
        what = f"the role {_name(need.role)} may not do {', '.join(actions)} on {need.pattern}{reason}"
        statement = json.dumps({"Effect": "Allow", "Action": actions, "Resource": need.pattern} | _condition(need))
        fix = f"add to a policy of the role: {statement}"
        if OF_THE_STACK in _name(need.role):
            whole = (
                " (this replaces all of ReadArns: add what other workflows read)" if "ReadArns" in need.option else ""
            )
            fix = f"bring the stack up to date: {context.command(f'bootstrap{need.option}')}{whole}; or {fix}"
        if reason:
            fix = "have that policy changed by whoever set it"
        if missing := _missing(results):
            yield unknown(f"{what}, unless a condition holds that cannot be tried here ({missing})", fix)
        elif foreign and not reason:
            yield unknown(f"{what}, as far as IAM can tell of another account's resource", fix)
        else:
            yield (error if need.fatal else warning)(what, fix)


def _serves_all(context: Context, need: Need) -> bool:
    """Whether jobs run as the stack's role for the pipeline itself, which does what they do no longer."""
    jobs = needs.unnamed(context)
    if ":kms:" in need.resource and need.resource not in resources.keys(context).values():
        return False  # a bucket's or a secret's own key, which no role of the stack is allowed
    ours = need.role == context.workflow.account.role_arn and need.role.endswith(THE_PIPELINES)
    return ours and bool(jobs) and (jobs != ["serve"] or not need.fatal)


def _unnamed(context: Context) -> Finding:
    """The same for every need, so that it is said once."""
    jobs, file = needs.unnamed(context), context.place.files["account"]
    shared = _name(context.workflow.account.role_arn)
    return (warning if jobs == ["serve"] else error)(
        f"{file} names no `roles` for {', '.join(jobs)}: they run as {shared}, which is the pipeline's own "
        "and may not do all that they do",
        f"{context.command('bootstrap')}; put the lines `roles` that it prints into {file}, then "
        f"{context.command('upsert')}",
    )


def _missing(results: list[dict[str, Any]]) -> str:
    """The condition keys that a policy asks for and that are not known here."""
    parts = [part for result in results for part in (result, *result.get("ResourceSpecificResults", []))]
    return ", ".join(sorted({key for part in parts for key in part.get("MissingContextValues", [])}))


def _condition(need: Need) -> dict[str, Any]:
    names = {"string": "StringEquals", "boolean": "Bool"}
    conditions = {names[kind]: {key: value} for key, kind, value in need.keys}
    return {"Condition": conditions} if conditions else {}


def _reason(result: Mapping[str, Any]) -> str:
    """Whose policy refuses it, where that is not the lack of a statement in the role's own."""
    if result["EvalDecision"] == "explicitDeny":
        return ": a policy denies it"
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return ": the organization's policies do not allow it"
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return ": its permissions boundary does not allow it"
    return ""
