"""Local files that an execution needs in S3: data, recipes, models, each under a content-addressed key.

The key follows the content, so that step caching never mistakes new content for old. Knows where things belong and
reads them once to tell their key; bringing them there is for `preflight/inputs.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.settings.content import content_key


@dataclass(frozen=True)
class Asset:
    """Something local that an execution needs in S3.

    Attributes:
        uri: where it belongs; content-addressed. A folder's URI ends in "/".
        path: the local file or folder; may not exist yet when `module` makes it.
        module: makes `path` with `python -m MODULE --output PATH`.
        key: that of its content, which what is brought to `uri` must still have; None where `module` makes it.
    """

    uri: str
    path: Path
    module: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Source:
    """What a setting names: an S3 URI, or a file or folder of this machine, with the asset that it becomes."""

    uri: str
    asset: Asset | None = None


def source(named: str, beside: Path, inputs: str) -> Source:
    """An S3 URI as it stands; anything else is a path relative to `beside`, read here for its key.

    Args:
        inputs: the prefix below which assets of this kind belong.

    Raises:
        UserError: a path where nothing is, or an empty folder.
    """
    if named.startswith("s3://"):
        return Source(named)
    found = asset(beside / named, inputs)
    return Source(found.uri, found)


def asset(path: Path, inputs: str) -> Asset:
    """A local file or folder, and where it belongs below `inputs`: `<content key>/<name>`, or `<content key>/`.

    Raises:
        UserError: nothing is there, an empty folder, or something in it cannot be read.
    """
    key = content_key(path)
    return Asset(f"{inputs}/{key}/" if path.is_dir() else f"{inputs}/{key}/{path.name}", path, key=key)
