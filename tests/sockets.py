"""Where the processes of a command listen to a network, while it runs."""

from __future__ import annotations

import ipaddress
import time

import psutil

from tests.forks.client import Launched

SECONDS = 0.5  # between two looks


def heard(process: Launched) -> set[tuple[str, str]]:
    """Wait for the end; (process, address) of every TCP socket that listened in a look, in it or in its children."""
    found: set[tuple[str, str]] = set()
    while process.poll() is None:
        for one in _family(process.pid):
            try:
                connections = one.net_connections("tcp")
                found |= {(one.name(), place.laddr.ip) for place in connections if place.status == psutil.CONN_LISTEN}
            except psutil.Error:  # it has ended meanwhile
                continue
        time.sleep(SECONDS)
    return found


def beyond_loopback(places: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those that another machine could reach."""
    return {place for place in places if not ipaddress.ip_address(place[1]).is_loopback}


def _family(process: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(process)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []
