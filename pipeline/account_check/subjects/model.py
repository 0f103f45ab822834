"""The base model: its configuration, tokenizer and every shard of its weights, in S3 or on the hub.

Goes by names and sizes, the index of the shards and the tokenizer's configuration; reads no weights. A model of this
machine is not looked at: `check` has looked at its folder, and `upsert` brings it whole. Of a hub model the names are
looked at without a token: one that the hub gates cannot be told from one that the jobs' token does not open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from urllib.error import HTTPError
from urllib.parse import quote

from pipeline.account_check import resources
from pipeline.account_check.context import Context, Look
from pipeline.account_check.finding import Finding, error, unknown
from pipeline.account_check.subjects.model_files import Files, problems

MOST_OBJECTS = 10_000  # under a model's prefix: more are not listed
HUB = "https://huggingface.co"


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
    if answer.get("gated") and "HF_TOKEN" not in resources.secrets_of(context):
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
    token = "HF_TOKEN" in resources.secrets_of(context)
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
