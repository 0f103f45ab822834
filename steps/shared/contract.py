"""The SageMaker container contract as this project uses it: the /opt/ml tree, the region, failure reporting.

Every step reads its world through this module, so that the same code runs in a container and as a plain process under
another root (the local executor sets OPT_ML). Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steps.shared import disks
from steps.shared.pages import visible

ROOT_VARIABLE = "OPT_ML"
QUOTED = 80  # characters of data or settings in a message: it reaches logs that more people read than these
FAILURE_LIMIT = 1024  # SageMaker cuts /opt/ml/output/failure at this many characters

LOST_ANOTHER = "this process lost another one of the training"  # how the reason of a consequence begins


class StepError(Exception):
    """A failure the user can fix. `str(error)` is the whole text: what, where, how to fix it."""


def root() -> Path:
    """The root of the SageMaker tree: `/opt/ml` unless OPT_ML names another."""
    return Path(os.environ.get(ROOT_VARIABLE, "/opt/ml"))


def resolve(path: str) -> str:
    """A path as the definition writes it (`/opt/ml/…`), under this process's root; any other text stays."""
    prefix = "/opt/ml/"
    return str(root() / path.removeprefix(prefix)) if path.startswith(prefix) else path


def channel(name: str) -> Path:
    """The folder of an input channel of a Training job."""
    return root() / "input" / "data" / name


def in_container() -> bool:
    """Whether a job's tree is there to write a failure reason into."""
    return root().is_dir()


def write_failure(reason: str, *, if_none: bool = False) -> None:
    """Write the reason where SageMaker looks for it: Training reads `output/failure`, Processing `output/message`.

    The first reason stays: with several processes, the one that failed first is the cause of the others. But one that
    only says that another process is lost gives way to that one's own, unless this is `if_none`.
    """
    if not in_container():
        return
    output = root() / "output"
    output.mkdir(parents=True, exist_ok=True)
    for name in ("failure", "message"):
        try:
            with open(output / name, "x", encoding="utf-8") as file:
                file.write(reason[:FAILURE_LIMIT])
        except FileExistsError:
            known = (output / name).read_text(encoding="utf-8", errors="replace")
            if known.startswith(LOST_ANOTHER) and not (if_none or reason.startswith(LOST_ANOTHER)):
                write_text(output / name, reason[:FAILURE_LIMIT])


def run(main: Callable[[], None]) -> int:
    """Run a step's `main` and return its exit code; a failure is printed once and left where SageMaker reads it."""
    _name_the_region()
    try:
        _stand_somewhere()
        main()
    except StepError as error:
        said = visible.visible(str(error))  # it may quote data, or a library
        print(f"error: {said}", file=sys.stderr, flush=True)
        _leave(said)
        return 1
    except MemoryError as error:
        reason = f"the memory (RAM) does not suffice ({in_one_line(error)}); take a machine or an instance with more"
        print(f"error: {reason}", file=sys.stderr, flush=True)
        write_failure(reason)
        return 1
    except Exception as error:
        if full := disks.refused(error):
            print(f"error: {full}", file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        _leave(full or visible.visible(f"{type(error).__name__}: {error}"))
        return 1
    return 0


def _leave(reason: str) -> None:
    with contextlib.suppress(OSError):  # the disk that failed the step: the log has the reason
        write_failure(reason)


def _stand_somewhere() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise StepError("the folder that this command was started in has been deleted; change to another one") from None


def _name_the_region() -> None:
    """SageMaker tells a job its region in AWS_REGION; boto3 and what is built on it read AWS_DEFAULT_REGION alone."""
    region = os.environ.get("AWS_REGION")
    if region:
        os.environ.setdefault("AWS_DEFAULT_REGION", region)


def sha256(path: Path) -> str:
    """The hex digest of a file, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def first_line(error: Exception) -> str:
    """What a library's error says, without the pages that some add; its type when it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def in_one_line(error: Exception) -> str:
    """The whole of what a library's error says, in one line, with its type where the words alone tell little."""
    words = " ".join(str(error).split())
    plain = isinstance(error, OSError | ValueError | RuntimeError | ImportError)
    return words if plain and words else f"{type(error).__name__}: {words}".removesuffix(": ")


def shortened(text: str) -> str:
    """The start of a text that may be of any length, for a message."""
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"


def special(path: Path) -> str | None:
    """What is there instead of a file or a folder: to open it may wait without end, or read without end."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode))


def read_json(path: Path, what: str) -> Any:
    """Parse a JSON file.

    Raises:
        StepError: the file is missing, is no file, or is not JSON; `what` names its role in the message.
    """
    if found := special(path):
        raise StepError(f"{path}: {what} must be a file, not {found}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"{path}: {what} is missing") from None
    except ValueError as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise StepError(f"{path}: {what} is not valid JSON: {error}") from None
    except RecursionError:
        raise StepError(f"{path}: {what} is nested too deep") from None


def write_text(path: Path, text: str) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with disks.naming(path), open(beside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
    os.replace(beside, path)
    sync_names(path.parent)


def sync_names(folder: Path) -> None:
    """Let the disk have the names of a folder's entries, such as one that was just renamed."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems of networks sync no folders; the file is there
            os.fsync(number)
    finally:
        os.close(number)


def write_json(path: Path, value: Any) -> None:
    """Write JSON the same way, readable, its keys sorted."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
