"""Python objects between the processes of a run; one process alone is its own first and only rank."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist

Value = TypeVar("Value")


def gather(mine: Value) -> list[Value]:
    """Every rank's value on every rank, in their order. All ranks must call it together."""
    if not dist.is_initialized():
        return [mine]
    found = [mine] * dist.get_world_size()
    dist.all_gather_object(found, mine)
    return found


def from_first(value: Value) -> Value:
    """The first rank's value on every rank. All ranks must call it together."""
    found = [value]
    if dist.is_initialized():
        dist.broadcast_object_list(found)
    return found[0]
