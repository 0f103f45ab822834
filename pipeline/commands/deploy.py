"""deploy, undeploy: an approved version on an endpoint. Both act on AWS alone."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Annotated

import typer

from pipeline.commands.shared.model_registry import Group, Version, next_options
from pipeline.commands.shared.on_aws import Remote, remote
from pipeline.commands.shared.options import DEFAULT_SETTINGS, AsJson, Settings, print_json, say
from pipeline.errors import UserError
from pipeline.versions import deployment, endpoints, registry, served
from pipeline.versions.capture import Capture
from pipeline.versions.endpoints import Endpoint
from pipeline.versions.registry import ModelVersion, Options

InstanceType = Annotated[
    str | None,
    typer.Option("--instance-type", help="One that the version supports; default: the first.", show_default=False),
]
EndpointName = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name.")]
OwnName = Annotated[
    str | None, typer.Option("--name", help="Name of the endpoint; default: the group's.", show_default=False)
]
Unverified = Annotated[
    bool, typer.Option("--unverified", help="Serve a version that was registered without a hash of its files.")
]
Share = Annotated[
    int | None,
    typer.Option(
        "--capture",
        metavar="SHARE",
        min=1,
        max=100,
        help="Percent of the requests that are kept with their answers, for `collect:`; default: none.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Watch until it is in service; the exit code says how it ended.")]


def deploy(
    version: Version,
    instance_type: InstanceType = None,
    name: OwnName = None,
    capture: Share = None,
    wait: Wait = False,
    unverified: Unverified = False,
    group: Group = None,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """Serve an approved version on an endpoint: a new one, or the one that is there in a blue/green update.

    Every file of the version is read before, to see that it is what was registered and approved.
    """
    options = next_options(False, settings, group)
    own = f" --name {shlex.quote(name)}" if name else ""
    own += f" --instance-type {shlex.quote(instance_type)}" if instance_type else ""
    own += f" --capture {capture}" if capture else ""
    with remote(f"deploy {shlex.quote(version)}{own}", settings, changes=True) as there:
        group = group or there.workflow.settings.register_model.package_group
        model = registry.find(there.sagemaker, group, version, options)
        deployment.require_approved(model, options)
        account, endpoint = there.workflow.account, name or group
        deployment.require_own_base(model, account.security)
        instance = deployment.instance_type(model, instance_type)
        captured = Capture(capture, there.workflow.captures_uri) if capture else None
        check = partial(_check_files, model, there, options, f"{options}{own} --unverified", unverified)
        outcome = deployment.deploy(
            there.sagemaker, model, endpoint, instance, account.role_of("serve"), account.security, check, captured
        )
        _, config = deployment.names(model, endpoint, instance, captured)
        if wait:
            endpoints.wait(there.sagemaker, endpoint, config, _say)
    adapter = deployment.adapter_name(model)
    if as_json:
        facts = {"group": model.group, "version": model.version, "adapter": adapter}
        facts |= {"instance_type": instance, "config": config, "capture": captured}
        print_json({"endpoint": endpoint, "outcome": outcome, "in_service": wait or outcome == "unchanged", **facts})
        return
    print(f"endpoint {endpoint} {outcome}: {model.group} version {model.version} on {instance}")
    if not wait and outcome != "unchanged":
        same = f"{model.version}{options} --name {endpoint} --instance-type {instance}"
        same += f" --capture {capture}" if capture else ""
        print(f"watch it: python pipeline.py deploy {same} --wait")
    if captured:
        print(f"it keeps {captured.share} % of requests and answers in {captured.uri}version-{model.version}/")
        print("ask it with an InferenceId of your own, by which people can say what they think of the answer")
    if adapter:
        print(f'ask it with "adapters": "{adapter}" beside "messages"; without it the bare base answers')
    print(f"it costs until you take it down: python pipeline.py undeploy {endpoint}{options.place}")


def undeploy(name: EndpointName, settings: Settings = DEFAULT_SETTINGS, as_json: AsJson = False) -> None:
    """Delete an endpoint that `deploy` made, with its configurations and models; the versions stay registered."""
    with remote(f"undeploy {shlex.quote(name)}", settings, changes=True) as there:
        deleted = deployment.undeploy(there.sagemaker, name)
    if as_json:
        print_json({"endpoint": name, "deleted": deleted})
    else:
        print("\n".join(f"deleted {entry}" for entry in deleted))


def _check_files(model: ModelVersion, there: Remote, options: Options, as_it_is: str, unverified: bool) -> None:
    """
    Args:
        as_it_is: the options of the command that deploys it all the same.

    Raises:
        UserError: a file is not what was registered, or nothing tells what it should be.
    """
    if not served.check_objects(model, there.client("s3"), options, whole=True, say=say) and not unverified:
        raise UserError(
            f"{model.group} version {model.version} was registered without a hash of its files, so nothing tells "
            f"whether they are what was approved; run the pipeline again, or deploy it as it is: "
            f"python pipeline.py deploy {model.version}{as_it_is}"
        )


def _say(endpoint: Endpoint) -> None:
    say(f"endpoint {endpoint.name} {endpoint.status}")
