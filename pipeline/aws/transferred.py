"""How far a file's way to or from S3 is, in words."""

from __future__ import annotations

from collections.abc import Callable


def transferred(name: str, size: int, far: Callable[[str], None]) -> Callable[[int], None]:
    """What boto3 calls with each number of bytes that has gone; `far` hears `name: 12.3 of 40.0 MB (31 %)`."""
    gone = 0

    def more(count: int) -> None:
        nonlocal gone
        gone += count  # of several threads at once: the words may be a moment old, and no more than that
        far(f"{name}: {gone / 1e6:,.1f} of {size / 1e6:,.1f} MB ({min(100, 100 * gone // max(size, 1))} %)")

    return more
