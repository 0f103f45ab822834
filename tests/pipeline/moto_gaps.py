"""What moto's CloudFormation lacks of ours: Scheduler's groups, the outputs of a stack that a change set made, and that
a stack's policies are detached before its roles are deleted."""

from __future__ import annotations

from typing import Any

import pytest
from moto.cloudformation.models import CloudFormationBackend
from moto.core.common_models import CloudFormationModel
from moto.iam.models import IAMBackend
from moto.scheduler.models import scheduler_backends


class StackGroup(CloudFormationModel):
    """AWS::Scheduler::ScheduleGroup, made in moto's own Scheduler. moto finds it as a subclass, once imported."""

    def __init__(self, name: str, account: str, region: str) -> None:
        self.physical_resource_id = name
        self._backend = scheduler_backends[account][region]
        self._backend.create_schedule_group(name=name, tags=[])

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Scheduler::ScheduleGroup"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> StackGroup:
        return cls(resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource: StackGroup, *_: Any, **__: Any) -> StackGroup:
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        scheduler_backends[account_id][region_name].delete_schedule_group(resource_name)

    def delete(self, account_id: str, region_name: str) -> None:
        scheduler_backends[account_id][region_name].delete_schedule_group(self.physical_resource_id)


def fill(patch: pytest.MonkeyPatch) -> None:
    """Have an executed change set give its stack outputs, and a deleted role lose its policies."""
    delete = IAMBackend.delete_role

    def detached(self: Any, role_name: str) -> None:
        for arn in list(self.get_role(role_name).managed_policies):
            self.detach_role_policy(arn, role_name)
        delete(self, role_name)

    patch.setattr(IAMBackend, "delete_role", detached)
    execute = CloudFormationBackend.execute_change_set

    def with_outputs(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        execute(self, change_set_name, stack_name)
        for stack in self.stacks.values():
            stack._parse_template()
            stack.output_map = stack._create_output_map()

    patch.setattr(CloudFormationBackend, "execute_change_set", with_outputs)
