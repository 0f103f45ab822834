"""The history of a training from its log, for as long as it has not left one: the lines that begin with [metrics].

Limits: the figures that a line has; numbers as they were rounded for the log.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

LINE = re.compile(r"\[metrics\] (step=\d+.*)")
FIGURE = re.compile(r"(\w+)=([-+]?(?:\d*\.)?\d+(?:[eE][-+]?\d+)?|[-+]?nan|[-+]?inf)(?=[\s/]|$)")


def history(lines: Iterable[str]) -> list[dict[str, Any]]:
    """An entry a line, as history.json has them: figures by name, None where one is not finite; `step` among them."""
    found = []
    for line in lines:
        if match := LINE.search(line):
            values = {name: float(text) for name, text in FIGURE.findall(match[1])}
            found.append({name: value if math.isfinite(value) else None for name, value in values.items()})
    return found
