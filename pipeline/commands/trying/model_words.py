"""Which files of a version answer, as words for `steps.answer`; what is not on this machine yet is fetched."""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.shared.model_registry import Registry
from pipeline.commands.shared.options import say
from pipeline.errors import UserError
from pipeline.versions import served
from pipeline.versions.registry import ModelVersion
from steps.shared.serving import ADAPTER_FOLDER


def of_version(there: Registry, model: ModelVersion, *, verify: bool) -> list[str]:
    """The words for a merged model, or for an adapter and its base.

    Args:
        verify: read every file, to see that it is what was registered.

    Raises:
        UserError: the package names no model, no variant or no base, or the files are gone or not the registered ones.
    """
    name = f"{model.group} version {model.version}"
    if model.model_uri is None or model.variant not in ("merged", "adapter"):
        raise UserError(
            f"{name}: its package does not say whether it is a merged model or an adapter, and where; "
            f"only versions of this pipeline can be tried: python pipeline.py models{there.options}"
        )
    folder = there.folder(model.model_uri)
    if not served.check_folder(model, folder, there.options, whole=verify):
        say(f"{name} was registered without a hash of its files: that they are what was judged cannot be told")
    if model.variant == "merged":
        return [f"--model={folder}"]
    place, revision = _base(there, model)
    return [f"--adapter={folder / ADAPTER_FOLDER}", f"--base={place}", *revision]


def of_version_beside_its_base(there: Registry, model: ModelVersion, *, verify: bool) -> list[str]:
    """The words with which the base answers too."""
    words = of_version(there, model, verify=verify)
    if model.variant == "merged":
        place, revision = _base(there, model)
        words += [f"--base={place}", *revision]
    return [*words, "--beside"]


def of_base(there: Registry, model: ModelVersion) -> list[str]:
    """The words for the base of a merged version alone, asked with the version's own chat template."""
    place, revision = _base(there, model)
    return [f"--model={place}", *revision, f"--tokenizer={there.folder(str(model.model_uri))}"]


def _base(there: Registry, model: ModelVersion) -> tuple[str | Path, list[str]]:
    """A folder, or a hub model's name and the word for its revision."""
    base = model.metadata.get("base_model")
    if not base:
        raise UserError(
            f"{model.group} version {model.version}: its package names no base_model; see the other versions: "
            f"python pipeline.py models{there.options}"
        )
    if base.startswith("s3://"):
        return there.folder(base), []
    name, _, revision = base.partition("@")
    return name, [f"--revision={revision}"] if revision else []
