"""models: the versions that were registered, on AWS or on this machine."""

from __future__ import annotations

from rich.table import Table

from pipeline import registry
from pipeline.commands.options import (
    DEFAULT_SETTINGS,
    LOCAL_ROOT,
    AsJson,
    Local,
    LocalRoot,
    Settings,
    moment,
    print_json,
    stdout,
    where,
)
from pipeline.commands.remote import remote


def models(
    local: Local = False,
    local_root: LocalRoot = LOCAL_ROOT,
    settings: Settings = DEFAULT_SETTINGS,
    as_json: AsJson = False,
) -> None:
    """List the registered model versions, newest first."""
    if local:
        from pipeline.local import runs

        found = runs.models(local_root)
    else:
        with remote("models", settings) as there:
            found = registry.list_models(there.sagemaker, there.workflow.settings.register_model.package_group)
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no models yet; start a run: python pipeline.py start{where(local, settings, local_root)} --wait")
        return
    table = Table("Group", "Version", "Status", "Variant", "Reward accuracy", "Created", box=None)
    table.add_column("Base model", overflow="fold")
    for model in found:
        group = model.arn.rpartition("model-package/")[2].partition("/")[0]
        facts = model.metadata
        table.add_row(
            group,
            str(model.version),
            model.approval_status,
            facts.get("variant", ""),
            _short(facts.get("reward_accuracy", "")),
            moment(model.created),
            facts.get("base_model", ""),
        )
    stdout().print(table)


def _short(number: str) -> str:
    """A figure of the metadata to four digits; what is no figure stays as it is written."""
    try:
        return f"{float(number):.4f}"
    except ValueError:
        return number
