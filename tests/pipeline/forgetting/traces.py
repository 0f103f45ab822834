"""Looking for texts and ids in every file below a folder, Parquet included."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")


def forms(text: str) -> set[bytes]:
    """A text as files have it: as it is, in HTML, in JSON, and as JSON in JSON."""
    once = {json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (True, False)}
    twice = {json.dumps(one, ensure_ascii=False)[1:-1] for one in once}
    return {one.encode() for one in {text, html.escape(text)} | once | twice}


def traces(folder: Path, texts: Iterable[str]) -> dict[str, list[str]]:
    """By file: which of these it has; weights aside."""
    wanted = {text: forms(text) for text in texts}
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.endswith(WEIGHTS):
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str).encode()
        if has := [text for text, ways in wanted.items() if any(way in content for way in ways)]:
            found[path.relative_to(folder).as_posix()] = has
    return found
