"""The base model: its configuration, tokenizer and every shard of its weights, in S3 or on the hub.

Goes by names and sizes, the index of the shards and the tokenizer's configuration; reads no weights. A model of this
machine is not looked at: `check` has looked at its folder, and `upsert` brings it whole. Of a hub model the names are
looked at without a token: one that the hub gates cannot be told from one that the jobs' token does not open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

from pipeline.account_check import needs
from pipeline.account_check.context import LARGEST, Context, Look
from pipeline.account_check.finding import Finding, error, unknown
from steps.shared.model_folder import CHAT_TEMPLATES, NO_TEMPLATE

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
POINTER = 1024  # bytes: a file of weights this small is one of Git LFS's pointers, or cut off
HUB = "https://huggingface.co"


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
        """A JSON file, empty where it is not there or larger than a configuration is."""
        size = self.sizes.get(name, 0)
        if name not in self.sizes or (size or 0) > LARGEST:
            return {}
        content = json.loads(self.read(name))
        return content if isinstance(content, dict) else {}


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
        entries = [entry for page in pages for entry in page.get("Contents", [])]
    except ClientError as refused:
        if refused.response["Error"].get("Code") != "NoSuchBucket":
            raise
        yield error(f"there is no bucket {bucket}", upload)
        return
    sizes = {entry["Key"].removeprefix(prefix): entry["Size"] for entry in entries}
    files = Files(sizes, lambda name: s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read())
    for problem in problems(files):
        yield error(f"{uri}: {problem}", upload)


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
    for text in found:
        yield error(f"{name} at {revision}: {text}", "take another revision (model_revision) or another model")


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


def problems(files: Files) -> Iterator[str]:
    """What a model lacks."""
    sizes = files.sizes
    if not sizes:
        yield "there is no object"
        return
    if "config.json" not in sizes:
        yield "config.json is missing"
    if not any(name in sizes for name in TOKENIZERS):
        yield "no tokenizer: tokenizer.json is missing"
    elif not any(name.startswith(CHAT_TEMPLATES) for name in sizes) and "chat_template" not in files.document(
        "tokenizer_config.json"
    ):
        yield NO_TEMPLATE
    yield from _weights(files)


def _weights(files: Files) -> Iterator[str]:
    sizes = files.sizes
    index = files.document(INDEX)
    named = sorted(set(index.get("weight_map", {}).values()))
    weights = named or sorted(name for name in sizes if name.endswith(".safetensors") and "/" not in name)
    if not weights:
        yield "no weights: there is no *.safetensors"
    if missing := [name for name in weights if name not in sizes]:
        yield f"{len(missing)} of {len(named)} shards are missing that {INDEX} names: {', '.join(missing[:5])}"
    known = {name: size for name in weights if (size := sizes.get(name)) is not None}
    small = [name for name, size in known.items() if size < POINTER]
    if small:
        yield f"{', '.join(small[:5])}: only {known[small[0]]} bytes, which is a pointer of Git LFS or a cut-off upload"
    whole = index.get("metadata", {}).get("total_size")
    if whole and not missing and not small and len(known) == len(weights) and sum(known.values()) < whole:
        yield f"the shards have {sum(known.values()):,} bytes, and {INDEX} counts {whole:,}: an upload was cut off"
