"""The base model: its configuration, tokenizer and every shard of its weights, in S3 or on the hub.

Goes by names and sizes, the index of the shards and the tokenizer's configuration; reads no weights. A model of this
machine is not looked at: `check` has looked at its folder, and `upsert` brings it whole. Of a hub model the names are
looked at without a token: one that the hub gates cannot be told from one that the jobs' token does not open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

from pipeline.account_check import needs
from pipeline.account_check.context import LARGEST, Context, Look
from pipeline.account_check.finding import Finding, error, unknown, warning
from steps.shared.model_folder import CHAT_TEMPLATES, NO_TEMPLATE

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
POINTER = 1024  # bytes: a file of weights this small is one of Git LFS's pointers, or cut off
MOST_OBJECTS = 10_000  # under a model's prefix: more are not listed
HUB = "https://huggingface.co"


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


def looks(context: Context) -> Iterator[Look]:
    where = context.place("recipe", "model_id")
    uri = context.values.get("ModelUri")
    if uri is None:
        yield Look(where, (), lambda: _on_the_hub(context))
    elif str(uri) not in {asset.uri for asset in context.workflow.assets}:
        yield Look(where, ("s3:ListBucket", "s3:GetObject"), lambda: _in_s3(context, str(uri)))


def _in_s3(context: Context, uri: str) -> Iterator[Finding]:
    from botocore.exceptions import ClientError

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    s3 = context.client("s3")
    upload = f"upload the whole model: aws s3 sync FOLDER {uri}"
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        entries = list(islice((entry for page in pages for entry in page.get("Contents", [])), MOST_OBJECTS + 1))
    except ClientError as refused:
        if refused.response["Error"].get("Code") != "NoSuchBucket":
            raise
        yield error(f"there is no bucket {bucket}", upload)
        return
    if len(entries) > MOST_OBJECTS:
        yield unknown(
            f"could not be looked at: more than {MOST_OBJECTS:,} objects lie under {uri}",
            "name the folder of one model alone as model_id: every job downloads all of it",
        )
        return
    sizes = {entry["Key"].removeprefix(prefix): entry["Size"] for entry in entries}
    files = Files(sizes, lambda name: s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read())
    for problem in problems(files):
        yield replace(problem, what=f"{uri}: {problem.what}", fix=problem.fix or upload)


def _on_the_hub(context: Context) -> Iterator[Finding]:
    name, revision = str(context.values["ModelId"]), str(context.values["ModelRevision"])
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    try:
        answer = json.loads(context.read(f"{hub}/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"))
    except HTTPError as problem:
        yield _refused(context, f"{name} at {revision}", problem.code)
        return
    if answer.get("gated") and "HF_TOKEN" not in needs.secrets_of(context):
        yield _refused(context, f"{name} at {revision}", 403)
        return
    sizes = {entry["rfilename"]: entry.get("size") for entry in answer.get("siblings", [])}
    files = Files(sizes, lambda file: context.read(f"{hub}/{name}/resolve/{quote(revision, safe='')}/{quote(file)}"))
    try:
        found = list(problems(files))
    except HTTPError as problem:
        yield _refused(context, f"{name} at {revision}", problem.code)
        return
    for one in found:
        fix = one.fix or "take another revision (model_revision) or another model"
        yield replace(one, what=f"{name} at {revision}: {one.what}", fix=fix)


def _refused(context: Context, model: str, code: int) -> Finding:
    """The hub answers 401 for what is gated and for what is not there."""
    token = "HF_TOKEN" in needs.secrets_of(context)
    if code in (401, 403) and token:
        return unknown(
            f"the hub does not show {model} without a token (it is gated, private, or not there)",
            "look whether the account behind the secret security.secrets.HF_TOKEN may open it: " + HUB,
        )
    if code in (401, 403):
        return error(
            f"the hub does not give {model} to everyone (it is gated, private, or not there), and the jobs have no "
            "token",
            "name the secret that holds one as security.secrets.HF_TOKEN in the account's file, or fix the name",
        )
    if code == 404:
        return error(f"the hub has no {model}", "fix model_id or model_revision in the recipe")
    return unknown(f"the hub answers {code} for {model}", "try again later")


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
