"""AWS clients: one that retries, the account they must belong to, and a call that outlasts a lost connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pipeline.aws.errors import code_and_message, is_passing
from pipeline.errors import UserError

PATIENCE_SECONDS = 1800  # how long a watcher outlasts a lost connection: a train's tunnel, a laptop that slept


_PAUSES = (5, 10, 20, 40, 60)  # seconds between its tries; the last one again and again


Answer = TypeVar("Answer")


class OtherAccount(UserError):
    """The credentials belong to another account than the settings name."""


def client(
    service: str,
    region: str | None = None,
    profile: str | None = None,
    *,
    attempts: int = 6,
    connect_timeout: int = 10,
    read_timeout: int = 60,
) -> Any:
    """A client for an AWS service that retries throttled calls; region and profile default to the environment's.

    Args:
        connect_timeout: seconds; as `read_timeout`, of one attempt.
    """
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(retries=retries, connect_timeout=connect_timeout, read_timeout=read_timeout)
    return session(region, profile).client(service, config=config)


@cache
def session(region: str | None, profile: str | None) -> Any:
    """One for all clients of a command: each new one reads botocore's files again, and asks again for an MFA code."""
    import boto3

    return boto3.Session(region_name=region, profile_name=profile)


def check_account(sts: Any, expected_account: str, command: str) -> None:
    """Refuse to touch another account than the settings name.

    Raises:
        OtherAccount: the credentials belong to another account.
    """
    identity = sts.get_caller_identity()
    if identity["Account"] != expected_account:
        raise OtherAccount(
            f"AWS: the settings name account {expected_account}, and the credentials are {identity['Arn']}; "
            f"choose others with AWS_PROFILE or fix the settings, then: {command}"
        )


def pause(seconds: float) -> None:
    """Sleep; a name of its own, so that what waits can be handed something else."""
    time.sleep(seconds)


def patiently(
    call: Callable[[], Answer],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = pause,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """The answer of a call that only reads, tried again while what hinders it may pass; `say` hears of it once.

    For those who watch for hours: boto3's own retries give up within a minute.

    Raises:
        Exception: the call's own, when it is none that passes or when it has not passed for half an hour.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    begun, tries = clock(), 0
    while True:
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            if not is_passing(error) or clock() - begun > PATIENCE_SECONDS:
                raise
            if tries == 0:
                say(f"AWS does not answer ({code_and_message(error)[1]}); trying on, the execution is not affected")
            sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1
