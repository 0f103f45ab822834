"""Whether what a message says stands in a text, however the template has escaped or spaced it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator


def stands(part: str, text: str) -> bool:
    """Whether the part is in the text: as it is, or escaped as in JSON, Python or HTML, but for white space."""
    bare = part.strip()
    if bare in text:
        return True
    squeezed = _squeezed(text)
    return any(_squeezed(form) in squeezed for form in _forms(bare))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _forms(part: str) -> Iterator[str]:
    yield part
    yield json.dumps(part, ensure_ascii=False)[1:-1]
    yield json.dumps(part)[1:-1]
    yield repr(part)[1:-1]
    yield html.escape(part)
