"""Python objects between the processes of a run; one process alone is its own first and only rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch.distributed as dist

from steps.shared.contract import StepError
from steps.train.runtime import machine

Value = TypeVar("Value")


def is_first() -> bool:
    """Whether this is the first rank: the one that reads and writes what only one node has."""
    return not dist.is_initialized() or dist.get_rank() == 0


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


@contextmanager
def failing_together() -> Iterator[None]:
    """Around what every rank does together, and some write files in: where a disk or the memory of one of them is
    full, all end with that reason, instead of with a lost connection to it. All ranks must enter it together.

    Raises:
        StepError: on every rank, what one of them could not do.
    """
    reason = None
    try:
        yield
    except StepError:  # every rank's
        raise
    except Exception as error:
        reason = machine.told(error)
        if reason is None:
            raise
    if reason := next(filter(None, gather(reason)), None):
        raise StepError(reason)


def done_by_first(act: Callable[[], Value]) -> Value:
    """What `act` returns on the first rank, on every rank; only the first one calls it. All ranks must call this
    together.

    Raises:
        StepError: `act` did, or a disk or the memory is full; on every rank, so that each node ends with the reason.
    """
    found: Value | StepError | None = None
    if is_first():
        try:
            found = act()
        except StepError as error:
            found = error
        except Exception as error:
            reason = machine.told(error)
            if reason is None:
                raise
            found = StepError(reason)
    found = from_first(found)
    if isinstance(found, StepError):
        raise found
    return cast("Value", found)
