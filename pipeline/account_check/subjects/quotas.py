"""Service Quotas: how many instances of each type the account may use, in the kind of use that each job has.

A quota counts everything that runs in the account and region at the same time, which is not looked at. A warm pool
without a quota is not kept, and fails nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, unknown, warning
from pipeline.preflight import costs

ACTIONS = ("servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas")
TRAINING, SPOT, WARM = "training job usage", "spot training job usage", "training warm pool usage"
PROCESSING, ENDPOINT = "processing job usage", "endpoint usage"
# What uses an instance -> the setting of its type.
SETTINGS = {
    "Champion": "gate.instance_type",
    "Candidates": "candidates.instance_type",
    "Preprocess": "preprocess.instance_type",
    "Train": "train.instance_type",
    "Gate": "gate.instance_type",
    "Merge": "merge.instance_type",
    "RegisterMerged": "register.instance_type",
    "RegisterAdapter": "register.instance_type",
    "deploy": "register.inference_instance_types",
}


class Use(NamedTuple):
    """So many instances of a type at once, in one kind of use."""

    quota: str  # its name
    instances: int
    steps: tuple[str, ...]
    fatal: bool


def looks(context: Context) -> Iterator[Look]:
    yield Look(context.place("workflow", "train.instance_type"), ACTIONS, lambda: _quotas(context))


def uses(context: Context) -> list[Use]:
    """What an execution, and a deployment after it, use of each quota: the most of one step, as steps take turns."""
    found: dict[str, Use] = {}

    def add(instance_type: str, kind: str, count: int, step: str, fatal: bool) -> None:
        name = f"{instance_type} for {kind}"
        known = found.get(name)
        steps = (*known.steps, step) if known else (step,)
        found[name] = Use(name, max(count, known.instances if known else 0), steps, fatal)

    for step in costs.usage(context.definition, context.values).jobs:
        if context.document.by_name[step.step].type != "Training":
            add(step.instance_type, PROCESSING, step.instance_count, step.step, True)
            continue
        add(step.instance_type, SPOT if step.spot else TRAINING, step.instance_count, step.step, True)
        if step.warm_hours:
            add(step.instance_type, WARM, step.instance_count, step.step, False)
    add(context.workflow.settings.register_model.inference_instance_types[0], ENDPOINT, 1, "deploy", False)
    return list(found.values())


def _quotas(context: Context) -> Iterator[Finding]:
    wanted = {use.quota: use for use in uses(context)}
    client = context.client("service-quotas")
    known = _named(client.get_paginator("list_service_quotas"), wanted)
    if wanted.keys() - known.keys():  # what nobody has asked to change may be listed among the defaults alone
        known = _named(client.get_paginator("list_aws_default_service_quotas"), wanted) | known
    for name, use in wanted.items():
        quota = known.get(name)
        where = _where(context, use.steps[0])
        for step in use.steps:
            if step not in SETTINGS:
                yield replace(_not_in_the_table(context, step, name), where=where)
        if quota is None:
            yield replace(_not_listed(context, use), where=where)
        elif quota["Value"] < use.instances:
            yield replace(_too_small(context, use, quota), where=where)


def _named(paginator: Any, wanted: Mapping[str, Use]) -> dict[str, dict[str, Any]]:
    pages = paginator.paginate(ServiceCode="sagemaker", PaginationConfig={"PageSize": 100})
    return {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"] if quota["QuotaName"] in wanted}


def _where(context: Context, step: str) -> str:
    """The place of the setting of a step's instance type; the step where `SETTINGS` does not name it."""
    return context.place("workflow", SETTINGS[step]) if step in SETTINGS else f"step {step}"


def _not_in_the_table(context: Context, step: str, quota: str) -> Finding:
    return unknown(
        f"{step} uses {quota!r}, and this check does not know which setting names the step's instance type",
        f"see the step's arguments: {context.command('definition')}",
    )


def _not_listed(context: Context, use: Use) -> Finding:
    console = f"https://{context.region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"
    return unknown(
        f"Service Quotas lists no {use.quota!r} in {context.region} ({', '.join(use.steps)}): the type may not exist "
        "there",
        f"search for it: {console}",
    )


def _too_small(context: Context, use: Use, quota: Mapping[str, Any]) -> Finding:
    what = f"the quota {use.quota!r} is {quota['Value']:g}, and {', '.join(use.steps)} needs {use.instances}"
    if WARM in use.quota:
        what += ": the instances are not kept warm"
    ask = (
        f"aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code {quota['QuotaCode']} "
        f"--desired-value {use.instances} --region {context.region}"
    )
    return (error if use.fatal else warning)(what, f"ask for more, which may take days: {ask}; or take another type")
