"""A process that loses the others of its training, as an error that says where the reason is to be found.

Where one process fails, those on other nodes only see that their connection to it is gone, and each node leaves its own
reason for SageMaker.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from steps.shared.contract import LOST_ANOTHER, StepError, first_line

# Of gloo (transport/tcp/pair.cc), and of NCCL (ncclRemoteError).
LOST = re.compile(r"Connection closed by peer|Connection reset by peer|Broken pipe|remote process exited")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """
    Raises:
        StepError: instead of the library's error, where the connection to another process was lost.
    """
    try:
        yield
    except RuntimeError as error:
        lost = LOST.search(str(error))
        if not lost:
            raise
        raise StepError(
            f"{LOST_ANOTHER} ({lost[0]}: {first_line(error)}): the log of the process "
            "that failed first, maybe on another node, has the reason"
        ) from error
