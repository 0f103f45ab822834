"""The files of a model's folder, by their names and sizes: what it lacks to be loaded; reads no weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.account_check.context import LARGEST
from pipeline.account_check.finding import Finding, error, unknown, warning
from steps.shared.model_folder import CHAT_TEMPLATES, NO_TEMPLATE

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
POINTER = 1024  # bytes: a file of weights this small is one of Git LFS's pointers, or cut off


class InvalidDocument(Exception):
    """A JSON file of the model that cannot be read; the text names the file."""


@dataclass(frozen=True)
class Files:
    """A model's files.

    Attributes:
        sizes: name -> bytes; None where that is not known.
        read: the content of one of them.
    """

    sizes: Mapping[str, int | None]
    read: Callable[[str], bytes]

    def document(self, name: str) -> dict[str, Any]:
        """A JSON file's object, empty where the file is not there or larger than a configuration is.

        Raises:
            InvalidDocument: it is cut off, or holds something else than a JSON object.
        """
        size = self.sizes.get(name, 0)
        if name not in self.sizes or (size or 0) > LARGEST:
            return {}
        text = self.read(name)
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise InvalidDocument(f"{name} is no JSON, as if an upload was cut off: {problem}") from problem
        if not isinstance(content, dict):
            raise InvalidDocument(f"{name} must hold a JSON object, and holds {_kind(content)}")
        return content


def problems(files: Files) -> Iterator[Finding]:
    """What a model lacks; the caller says of which model, and the fix."""
    sizes = files.sizes
    if not sizes:
        yield error("there is no object", "")
        return
    if "config.json" not in sizes:
        yield error("config.json is missing", "")
    yield from _tokenizer(files)
    try:
        index = files.document(INDEX)
    except InvalidDocument as problem:
        yield error(str(problem), "")
        return
    if INDEX in sizes and (sizes[INDEX] or 0) > LARGEST:
        yield unknown(
            f"{INDEX} is larger than {LARGEST:,} bytes and was not read", "compare its weight_map with the files"
        )
    elif INDEX in sizes and (wrong := _form(index)):
        yield error(f"{INDEX}: {wrong}: transformers cannot load the shards by it", "")
        return
    yield from _weights(sizes, index)


def _tokenizer(files: Files) -> Iterator[Finding]:
    if not any(name in files.sizes for name in TOKENIZERS):
        yield error("no tokenizer: tokenizer.json is missing", "")
        return
    try:
        settings = files.document("tokenizer_config.json")
    except InvalidDocument as problem:
        yield error(str(problem), "")
        return
    if "chat_template" not in settings and not any(name.startswith(CHAT_TEMPLATES) for name in files.sizes):
        yield error(NO_TEMPLATE, "")


def _form(index: Mapping[str, Any]) -> str:
    """What of an index is not as transformers reads it; empty where nothing is."""
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        return f"weight_map must be an object of tensors and their files, and is {_kind(shards)}"
    if other := next((name for name, file in shards.items() if not isinstance(file, str)), None):
        return f"weight_map.{other} must be a file's name, and is {_kind(shards[other])}"
    if not isinstance(index.get("metadata"), dict):
        return f"metadata must be an object, and is {_kind(index.get('metadata'))}"
    return ""


def _kind(value: Any) -> str:
    """What a value of a JSON document is, shortly: `null`, `a list`, `"12"`."""
    if isinstance(value, list):
        return "a list"
    return ("an object" if value else "empty") if isinstance(value, dict) else json.dumps(value)[:40]


def _weights(sizes: Mapping[str, int | None], index: Mapping[str, Any]) -> Iterator[Finding]:
    named = sorted(set(index.get("weight_map", {}).values()))
    weights = named or sorted(name for name in sizes if name.endswith(".safetensors") and "/" not in name)
    if not weights:
        yield error("no weights: there is no *.safetensors", "")
    if missing := [name for name in weights if name not in sizes]:
        yield error(
            f"{len(missing)} of {len(named)} shards are missing that {INDEX} names: {', '.join(missing[:5])}", ""
        )
    known = {name: size for name in weights if (size := sizes.get(name)) is not None}
    small = [name for name, size in known.items() if size < POINTER]
    if small:
        what = "which is a pointer of Git LFS or a cut-off upload"
        yield error(f"{', '.join(small[:5])}: only {known[small[0]]} bytes, {what}", "")
    if not missing and not small and len(known) == len(weights):
        yield from _total(sum(known.values()), index.get("metadata", {}).get("total_size"))


def _total(there: int, counted: Any) -> Iterator[Finding]:
    """Compares the shards' bytes with the index's `total_size`, which counts the tensors' bytes without headers.

    Only a warning: indexes are known that count tied weights twice, and nothing loads by this number.
    """
    if counted is None:
        return
    if isinstance(counted, bool) or not isinstance(counted, int | float):
        yield warning(f"{INDEX}: metadata.total_size must be a number of bytes, and is {_kind(counted)}", "")
    elif there < counted:
        yield warning(
            f"the shards have {there:,} bytes, and {INDEX} counts {counted:,}: an upload was cut off, or tied weights "
            "are counted twice",
            "",
        )
