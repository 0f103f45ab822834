"""A stack of before can be updated: what CloudFormation would replace for, stays as it was.

A resource with a name of its own cannot be replaced, since the new one would bear the same name; a bucket or a group
that is replaced is gone. `create_only.json` has, for each resource, the properties that cannot be changed in place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.pipeline import iam

RECORDED = Path(__file__).with_name("create_only.json")


def create_only(resource: dict[str, Any]) -> dict[str, Any]:
    """The properties of a resource whose change replaces it, by AWS's own schema of its type."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
    names = {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
    return {name: value for name, value in sorted(resource["Properties"].items()) if name in names}


def test_no_property_changes_for_which_a_resource_would_be_replaced() -> None:
    """New resources are added to the record; what stands in it is not changed, but for a new logical id and name."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    there_are = {name: create_only(resource) for name, resource in iam.resources().items() if name != "Budget"}
    assert {name: found for name, found in there_are.items() if found} == recorded
    assert {"ManagedPolicyName", "Description"} <= recorded["OperatorPolicy"].keys()  # the schemas say it
