"""A step's own error that was raised on an executor, as the step raised it; any other one stays Java's."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from py4j.protocol import Py4JJavaError

from steps.shared.contract import StepError

# How Python's traceback, which Spark quotes in Java's, names the step's own error.
OWN_ERROR = re.escape(f"{StepError.__module__}.{StepError.__qualname__}: ")
TOLD = re.compile(rf"^{OWN_ERROR}(.*?)\s*^\s*at org\.apache\.spark", re.DOTALL | re.MULTILINE)


@contextlib.contextmanager
def own_error() -> Iterator[None]:
    """Turn the step's own error, which comes from an executor inside a Java stack trace, back into what it was."""
    try:
        yield
    except Py4JJavaError as error:
        told = TOLD.search(str(error.java_exception))
        if told is None:
            raise
        raise StepError(told[1]) from None
