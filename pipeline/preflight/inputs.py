"""What an execution needs in S3 before it starts: recipe, data and model, under content-addressed keys.

A parameter that names data or a model takes an S3 URI, or a local file or folder: that is uploaded first, to the local
store for a local run and to the bucket otherwise, so that both run the same definition on the same kind of URI.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pipeline.errors import UserError, problems_error
from pipeline.files import ROOT
from pipeline.preflight.recipe import initial_adapter_problems
from pipeline.settings.assets import Asset, asset
from pipeline.settings.workflow import Workflow
from steps.shared.model_folder import check_folder

FOLDERS = {
    "InputDataUri": "data",
    "ValidationDataUri": "validation",
    "ModelUri": "models",
    "InitialAdapterUri": "adapters",
}


def resolve_inputs(workflow: Workflow, overrides: Mapping[str, str]) -> tuple[dict[str, str], list[Asset]]:
    """The overrides with local paths replaced by their URIs, and the assets that this execution uses.

    Raises:
        UserError: a path that does not exist.
        StepError: a folder that is no usable model, or an adapter that training cannot continue from.
    """
    resolved = dict(overrides)
    added = []
    for name, folder in FOLDERS.items():
        given = overrides.get(name)
        if given is None or given.startswith("s3://"):
            continue
        path = Path(os.path.expanduser(given))  # which leaves a `~` alone where nobody knows of a home
        if not path.exists():
            raise UserError(f"{name}: {given}: there is no such file or folder; name one, or an s3:// URI")
        if name == "ModelUri":
            check_folder(path)
        found = asset(path, f"{workflow.account.inputs_uri}/{folder}")
        resolved[name] = found.uri
        added.append(found)
    defaults = {
        "InputDataUri": workflow.data_uri,
        "ValidationDataUri": workflow.validation_uri,
        "ModelUri": workflow.model_uri,
        "InitialAdapterUri": workflow.initial_adapter_uri,
    }
    replaced = {default for name, default in defaults.items() if name in overrides}
    assets = [*(asset for asset in workflow.assets if asset.uri not in replaced), *added]
    if problems := initial_adapter_problems(workflow, resolved, assets):
        raise problems_error(
            "InitialAdapterUri", problems, "Fix the recipe or the parameters, or take another adapter."
        )
    return resolved, assets


def provide(
    assets: list[Asset],
    exists: Callable[[str], bool],
    put: Callable[[Path, str, str | None], None],
    during: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Bring the assets to where the execution reads them; those that are there already are not touched.

    Args:
        put: is handed path, URI and the key that the content must still have.
        during: is handed what is being done, and lasts as long as that.

    Raises:
        UserError: a model could not be made.
    """
    for one in assets:
        if exists(one.uri):
            continue
        if one.module:
            with during(f"making {one.path}"):
                make(one)
        with during(f"copying {one.path}"):
            put(one.path, one.uri, one.key)


def make(made: Asset) -> None:
    """Run the module that makes an asset's folder; what it prints goes to stderr.

    Raises:
        UserError: it failed.
    """
    command = [sys.executable, "-m", str(made.module), "--output", str(made.path)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise UserError(f"{made.path}: {made.module} failed with exit code {done.returncode}; its output is above")
