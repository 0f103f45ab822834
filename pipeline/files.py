"""Files written whole or not at all, and where this checkout and what it reads and keeps by default lie."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from steps.shared.disks import naming

ROOT = Path(__file__).resolve().parents[1]  # of the checkout
DEFAULT_SETTINGS = ROOT / "configs" / "quickstart.yaml"
LOCAL_ROOT = ROOT / ".local"


def write_text(path: Path, text: str) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes in the same way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with naming(path), open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        os.replace(beside, path)
        sync(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk: before a rename gives it the place of a whole one."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_json(path: Path, value: Any) -> None:
    """Write JSON the same way, readable, with the keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def last_lines(path: Path, count: int, window: int = 64 * 1024) -> list[str]:
    """The last lines of a log that are not blank; of a progress bar redrawn in place, its last state."""
    if not path.exists():
        return []
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - window))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-count:]
