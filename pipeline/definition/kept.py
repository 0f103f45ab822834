"""Definitions that were rendered and checked before, kept in `.local/rendered/`: no command does it again for nothing.

A file's name is the hash of all that decides a definition: the workflow as it was read (settings, account, recipe, and
the keys of the data that they name), the code of `pipeline/` and `steps/`, Python, the packages that render, and the
variables that they look at. So there is nothing to invalidate, and what is old is removed by its age alone.

Limits: a package that is changed where it is installed keeps its version; remove the folder then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.checks.api_model import check_definition
from pipeline.definition.render import render
from pipeline.files import LOCAL_ROOT, ROOT, write_text
from pipeline.settings.content import code_key
from pipeline.settings.workflow import STEPS, Workflow

FOLDER = LOCAL_ROOT / "rendered"
CODE = ROOT / "pipeline"  # that of `steps/` is in the workflow, as `code_version`
PACKAGES = ("sagemaker", "sagemaker-core", "sagemaker-mlops", "boto3", "botocore", "pydantic")
VARIABLES = ("AWS_DATA_PATH", "SAGEMAKER_")  # how the names begin of those that could decide what the SDK does
MOST = 48  # files that are kept, two of a workflow


@dataclasses.dataclass(frozen=True)
class Kept:
    """A workflow's definition and what is wrong with it, from the files of earlier commands where they are whole."""

    workflow: Workflow

    @cached_property
    def definition(self) -> str:
        """What `render` gives."""
        return self._from_file("definition", lambda: render(self.workflow))

    @cached_property
    def problems(self) -> list[str]:
        """What `check_definition` finds in it."""
        return json.loads(
            self._from_file("problems", lambda: json.dumps(check_definition(json.loads(self.definition))))
        )

    @cached_property
    def _key(self) -> str:
        return key_of(self.workflow)

    def _from_file(self, what: str, make: Callable[[], str]) -> str:
        file = FOLDER / f"{self._key}.{what}"
        found = _read(file)
        if found is not None:
            return found
        text = make()
        if self._is_still_its_key():
            _keep(file, text)
        return text

    def _is_still_its_key(self) -> bool:
        """False where code was changed meanwhile: which code made the text cannot be told then."""
        return code_key(STEPS) == self.workflow.code_version and key_of(self.workflow) == self._key


def rendered(workflow: Workflow) -> str:
    """What `render` gives, from a file where it is kept."""
    return Kept(workflow).definition


def key_of(workflow: Workflow) -> str:
    """The hash, hex, of all that decides the definition."""
    fields = {field.name: _plain(getattr(workflow, field.name)) for field in dataclasses.fields(workflow)}
    versions = {name: metadata.version(name) for name in PACKAGES}
    variables = {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)}
    decides = [fields, code_key(CODE), sys.version, versions, variables]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A field of a workflow as JSON. The order of keys stays: it may be that of a list in the definition."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _read(file: Path) -> str | None:
    """The text in a file; None where there is none, or where it is not the whole of what was written."""
    try:
        written = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    hashed, _, text = written.partition("\n")
    return text if hashed == _hash(text) else None


def _keep(file: Path, text: str) -> None:
    """Write it for later commands; where that cannot be, such as in a checkout of another user, they render too."""
    with contextlib.suppress(OSError):
        LOCAL_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(file, f"{_hash(text)}\n{text}")
        for old in sorted(FOLDER.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[MOST:]:
            old.unlink(missing_ok=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
